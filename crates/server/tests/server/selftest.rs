//! `umbrella selftest`.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{run, umbrella};

fn selftest(command: &mut Command) -> (Output, Value) {
    let output = run(command.args(["selftest", "--json"]));
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

fn stages(report: &Value) -> &[Value] {
    report["stages"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn a_machine_that_can_do_it_all_is_sent_away() {
    let dir = tempfile::tempdir().unwrap();
    let (output, report) = selftest(&mut umbrella(dir.path()));
    assert!(output.status.success(), "{output:?}");
    assert!(stages(&report).iter().all(|stage| stage["passed"] == true));
    let tried: Vec<&str> = stages(&report)
        .iter()
        .filter_map(|stage| stage["stage"].as_str())
        .collect();
    for stage in ["page", "database", "UDP: data", "TCP: data"] {
        assert!(tried.contains(&stage), "{tried:?}");
    }
    // It may be tried beside a server that runs, and by somebody who may not read its files.
    assert!(dir.path().read_dir().unwrap().next().is_none());
}

#[test]
fn a_container_without_a_place_for_temporary_files_cannot_be_tried() {
    let dir = tempfile::tempdir().unwrap();
    let (output, report) = selftest(umbrella(dir.path()).env("TMPDIR", "/nowhere"));
    assert!(output.status.success(), "{output:?}");
    let remarks = report["remarks"].to_string();
    assert!(remarks.contains("memory"), "{remarks}");
}

#[test]
fn a_script_takes_a_machine_that_cannot_have_calls() {
    let dir = tempfile::tempdir().unwrap();
    let mut few = Command::new("sh");
    // Enough to start with, and too few for a call.
    few.args(["-c", "ulimit -n 13; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_umbrella"))
        .current_dir(dir.path());
    let (output, report) = selftest(&mut few);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let last = stages(&report).last().unwrap();
    assert_eq!(last["passed"], false, "{report}");
    assert!(
        last["advice"].as_str().unwrap().contains("ulimit"),
        "{last}"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(last["stage"].as_str().unwrap()), "{said}");
}
