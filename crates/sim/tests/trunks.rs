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

/// Seeds to play; `UMBRELLA_SIM_SEEDS` plays more of them.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let wanted = std::env::var("UMBRELLA_SIM_SEEDS");
    0..wanted
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

#[test]
fn people_media_or_messages_go_astray_between_servers() {
    let (mut people, mut streams) = (0, 0);
    for seed in seeds(300) {
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
        people >= 20 && streams >= 20,
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
