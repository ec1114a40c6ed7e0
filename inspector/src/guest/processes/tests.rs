//! A plan by the profile's own numbers; live memory and debug information are in `tests/profiles.rs`.

use super::*;
use crate::guest::elf::file;
use crate::guest::profile::text;

fn plan(text_of: &str) -> Result<Plan, String> {
    let profile = text::read(std::path::Path::new("p.ron"), text_of).expect("a profile");
    let elf = file(&[("proc", 0x8001_0000), ("head", 0x8002_0000)]);
    Plan::with(profile.processes.as_ref().expect("processes"), &elf, None)
}

#[test]
fn what_nobody_says_is_an_error_with_a_remedy() {
    let of = |place: &str, field: &str| {
        plan(&format!(
            "(profile: 1, name: \"t\", recognise: (layout: \"t\"), processes: (struct: \"proc\", \
             place: {place}, page_table: {field}))"
        ))
    };
    let known = "(path: \"pagetable\", offsets: [80])";
    let array = "Array(start: \"proc\", count: 64, stride: 360)";
    assert_eq!(
        of(array, known).expect("a plan").origin(),
        "offsets from the profile"
    );
    let error = of(array, "(path: \"pagetable\")").expect_err("no offset");
    assert!(error.contains("give `offsets`"), "{error}");
    let error = of("Array(start: \"proc\")", known).expect_err("no count");
    assert!(error.contains("give `count` and `stride`"), "{error}");
    let error = of("Array(start: \"nobody\", count: 1, stride: 8)", known).expect_err("no symbol");
    assert!(error.contains("\"nobody\""), "{error}");
}
