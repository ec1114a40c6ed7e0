//! Every input that is kept, given to its target: those that were found and mended, and the seeds.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::Path;

#[test]
fn nothing_that_is_kept_is_found_again() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut given = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let target = pagescope_fuzz::target(name);
        let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
        for input in fs::read_dir(&folder).unwrap() {
            let input = input.unwrap().path();
            println!("{}", input.display());
            (target.run)(&fs::read(&input).unwrap());
            given += 1;
        }
    }
    let targets = pagescope_fuzz::TARGETS.iter();
    for target in targets {
        assert!(
            corpus.join(target.name).is_dir(),
            "{} has no corpus",
            target.name
        );
    }
    assert!(
        given >= pagescope_fuzz::TARGETS.len(),
        "only {given} inputs"
    );
}
