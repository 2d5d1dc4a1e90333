//! Rooms against the reference model.
//!
//! `SEEDS=n` plays n seeds instead of the usual number; `SEED=n` plays that one alone, comparing
//! after every step, so that the failure names the command that caused it.

use umbrella_sim::rooms::{Mutation, Plan, Seen, run};

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is not a number")),
    )
}

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        steps: 250,
        check_every: 8,
        mutation: None,
    }
}

#[test]
fn rooms_do_what_the_reference_model_says() {
    if let Some(seed) = number("SEED") {
        if let Err(failure) = run(&Plan {
            check_every: 1,
            ..plan(seed)
        }) {
            panic!("{failure}");
        }
        return;
    }
    let mut all = Seen::default();
    for seed in 0..number("SEEDS").unwrap_or(300) {
        match run(&plan(seed)) {
            Ok(seen) => {
                all.effects += seen.effects;
                all.participants = all.participants.max(seen.participants);
                all.consumers = all.consumers.max(seen.consumers);
            }
            Err(failure) => panic!("{failure}\nreplay with SEED={seed} cargo test -p umbrella-sim"),
        }
    }
    println!("{all:?}");
    if number("SEEDS").is_none() {
        assert!(
            all.participants >= 24,
            "too small to mean anything: {all:?}"
        );
        assert!(all.consumers >= 100, "too quiet to mean anything: {all:?}");
    }
}

#[test]
fn same_seed_plays_the_same() {
    let effects = |seed| {
        run(&plan(seed))
            .map(|seen| seen.effects)
            .map_err(|f| f.to_string())
    };
    assert_eq!(effects(7), effects(7));
    assert_ne!(effects(7), effects(8));
}

/// A simulation that notices nothing proves nothing: spoilt effects have to be noticed.
#[test]
fn spoilt_rooms_do_not_pass() {
    for mutation in Mutation::ALL {
        let (mut spoilt, mut noticed) = (0, 0);
        for seed in 0..20 {
            let plan = Plan {
                check_every: 1,
                mutation: Some(mutation),
                ..plan(seed)
            };
            match run(&plan) {
                Ok(seen) => spoilt += usize::from(seen.mutated),
                Err(_) => (spoilt, noticed) = (spoilt + 1, noticed + 1),
            }
        }
        println!("{mutation:?}: {noticed} of {spoilt}");
        assert!(spoilt >= 8, "{mutation:?} spoilt only {spoilt}");
        let enough = match mutation {
            // What is told twice within one command can be forgotten once.
            Mutation::ForgetUpdate | Mutation::ForgetAllowed => noticed * 4 >= spoilt * 3,
            // Some of it was described before.
            Mutation::MediaFirst => noticed * 2 >= spoilt,
            Mutation::ForgetOpen
            | Mutation::ForgetClose
            | Mutation::ForgetConfigure
            | Mutation::ForgetPause
            | Mutation::ForgetCloseProducer
            | Mutation::DataTwice
            | Mutation::ForgetLeave
            | Mutation::ForgetEmpty
            | Mutation::ForgetLayers
            | Mutation::ForgetAnswer => noticed == spoilt,
        };
        assert!(
            enough,
            "{mutation:?}: only {noticed} of {spoilt} were noticed"
        );
    }
}
