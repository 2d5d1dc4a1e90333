//! Linked servers of every shape, with churn, against the reference model.

use umbrella_sim::trunks::{Mutation, Plan, Shape, run};

fn plan(seed: u64) -> Plan {
    let shape = Shape::ALL[(seed % 5) as usize];
    Plan {
        seed,
        shape,
        nodes: 2 + (seed / 5 % 15) as usize,
        changes: 12,
        rounds: 6,
        mutation: None,
    }
}

/// Seeds to play; `UMBRELLA_SIM_SEEDS` plays so many of them, or those from one to another (`7..9`).
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("UMBRELLA_SIM_SEEDS").unwrap_or_default();
    let (from, to) = wanted.split_once("..").unwrap_or(("0", &wanted));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => from..to,
        _ => 0..usual,
    }
}

#[test]
fn people_media_or_messages_go_astray_between_servers() {
    let (mut people, mut streams) = (0, 0);
    let seeds = seeds(300);
    let few = seeds.end - seeds.start < 100;
    for seed in seeds {
        match run(&plan(seed)) {
            Ok(seen) => {
                people = people.max(seen.people);
                streams = streams.max(seen.streams);
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    // A play in which nothing happens proves nothing.
    assert!(
        few || people >= 20 && streams >= 20,
        "{people} people, {streams} streams"
    );
}

#[test]
fn model_does_not_notice_faults() {
    for mutation in Mutation::ALL {
        let noticed = (0..60).any(|seed| {
            let plan = Plan {
                mutation: Some(mutation),
                ..plan(seed)
            };
            run(&plan).is_err()
        });
        assert!(noticed, "{mutation:?} goes unnoticed");
    }
}
