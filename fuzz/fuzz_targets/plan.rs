//! Reading any plan file: no panic, nothing that was edited, and what is read is what was written.
#![no_main]

use cloakroom_reconcile::Plan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // The hash keeps nearly every input from being a plan; its parts are read all the same.
    if let Ok(plan) = serde_json::from_str::<Plan>(text) {
        let written = serde_json::to_string(&plan).expect("a plan is JSON");
        let read: Plan = serde_json::from_str(&written).expect("a plan that was written");
        assert_eq!(read, plan);
    }
    if let Ok(plan) = Plan::read(text) {
        let written = serde_json::to_string(&plan).expect("a plan is JSON");
        assert_eq!(Plan::read(&written).expect("the same plan"), plan);
        let mut edited = plan;
        edited.header.listed = edited.header.listed.wrapping_add(1);
        let written = serde_json::to_string(&edited).expect("a plan is JSON");
        assert!(Plan::read(&written).is_err(), "an edited plan was taken");
    }
});
