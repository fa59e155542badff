//! What the running program owes the machine it runs on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Deployment;

#[test]
fn a_running_service_never_leaves_a_core_dump() {
    let deployment = Deployment::new();
    let served = deployment.serve(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.child.id())).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    let values: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(values, ["0", "0", "bytes"], "{limits}");
}
