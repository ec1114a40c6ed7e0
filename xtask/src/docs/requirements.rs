//! `docs/requirements.md` lists, for every requirement, where it is tested. This holds the list to the tests: none is
//! missing, and every test that it names exists.
//!
//! ```text
//!  | S2.9 | overflowing the stack page-faults | `live_hypervisor::s2_9_…` |
//!    id      in short                            tests from outside, or `not seen from outside: why`
//! ```

use std::fs;
use std::path::Path;

use crate::command::root;

/// A group of requirements: its number, how many there are, and the layout whose self-test has them.
const GROUPS: [(u32, u32, &str); 5] = [
    (0, 9, "pseudos"),
    (1, 9, "pseudos"),
    (2, 13, "hypervisor"),
    (3, 12, "process"),
    (4, 13, "nanos"),
];

/// The groups whose tests' names carry the id.
const NAMED_GROUPS: std::ops::RangeInclusive<u32> = 2..=4;

/// Folders with tests that look from outside.
const TESTS: [&str; 2] = ["inspector/tests", "kernel/join/tests/qemu"];

/// What a row says where nothing can be seen from outside.
const UNSEEN: &str = "not seen from outside: ";

/// A requirement's row.
struct Row<'a> {
    id: &'a str,
    tests: &'a str,
}

fn rows(document: &str) -> Vec<Row<'_>> {
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let [id, _, tests, ..] = cells[..] else {
            return None;
        };
        let is_id = id.starts_with('S') && id.contains('.');
        is_id.then_some(Row { id, tests })
    });
    rows.collect()
}

/// What stands in backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether `source` has a test of this name that runs: a function with `#[test]` before it, and no `#[ignore]`.
fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {function}()");
    lines.iter().enumerate().any(|(place, line)| {
        let before = lines[..place].iter().rev();
        let mut attributes =
            before.take_while(|line| line.starts_with("#[") || line.starts_with("///"));
        let is_test = attributes.clone().any(|line| *line == "#[test]");
        line.starts_with(&head) && is_test && !attributes.any(|line| line.starts_with("#[ignore"))
    })
}

/// Whether `source` makes the check of this id, and does not only speak of it: the id, then the path of a function
/// whose name carries it, too.
fn has_check(source: &str, id: &str) -> bool {
    let lines = source.lines().map(str::trim);
    let code = lines.filter(|line| !line.starts_with("//"));
    let dense: String = code.flat_map(str::split_whitespace).collect();
    let function = format!("::{}_", id.to_lowercase().replace('.', "_"));
    let quoted = format!("\"{id}\",");
    let given = dense.split(&quoted).skip(1);
    let mut paths = given.filter_map(|rest| rest.split([',', ')']).next());
    paths.any(|path| path.contains(&function))
}

/// Whether a test of this name, `file::function`, exists.
fn exists(test: &str) -> bool {
    let Some((file, function)) = test.split_once("::") else {
        return false;
    };
    TESTS.iter().any(|folder| {
        let path = root().join(folder).join(format!("{file}.rs"));
        let text = fs::read_to_string(path).unwrap_or_default();
        has_test(&text, function)
    })
}

/// Whether any source file under `folder` makes the check of this id.
fn any_file_checks(folder: &Path, id: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            any_file_checks(&path, id)
        } else {
            fs::read_to_string(&path).is_ok_and(|source| has_check(&source, id))
        }
    })
}

#[test]
fn a_test_that_does_not_run_is_none() {
    let source = "#[test]\n/// Looks.\nfn runs() {}\n\nfn helper() {}\n#[test]\n#[ignore = \"slow\"]\nfn sleeps() {}";
    assert!(has_test(source, "runs"));
    for function in ["helper", "sleeps", "run"] {
        assert!(!has_test(source, function), "{function}");
    }
}

#[test]
fn a_remark_is_no_check() {
    assert!(has_check(
        "check(\n    \"S2.9\",\n    harts::s2_9_guard,\n)",
        "S2.9"
    ));
    assert!(has_check("with(TWO, \"S2.9\", harts::s2_9_guard),", "S2.9"));
    assert!(!has_check("// check(\"S2.9\", harts::s2_9_guard),", "S2.9"));
    assert!(!has_check("let id = \"S2.9\";", "S2.9"));
    assert!(!has_check("check(\"S2.9\", harts::s2_8_tp),", "S2.9"));
}

#[test]
fn every_requirement_has_its_tests() {
    let document = fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let rows = rows(&document);
    let mut wrong = Vec::new();
    for (group, count, layout) in GROUPS {
        let programs = root().join("kernel/src/bin").join(layout);
        for number in 1..=count {
            let id = format!("S{group}.{number}");
            let found: Vec<&Row<'_>> = rows.iter().filter(|row| row.id == id).collect();
            let [row] = found[..] else {
                wrong.push(format!("{id} has {} rows", found.len()));
                continue;
            };
            if !any_file_checks(&programs, &id) {
                wrong.push(format!("{id} is not in the self-test of {layout}"));
            }
            let tests: Vec<&str> = code(row.tests).collect();
            wrong.extend(
                tests
                    .iter()
                    .filter(|test| !exists(test))
                    .map(|test| format!("{id} names {test}, which does not exist")),
            );
            let reason = row.tests.strip_prefix(UNSEEN).unwrap_or_default();
            let prefix = format!("::s{group}_{number}_");
            let has_named = tests.iter().any(|test| test.contains(&prefix));
            let is_tested = !tests.is_empty() && (has_named || !NAMED_GROUPS.contains(&group));
            if !is_tested && reason.len() < 20 {
                wrong.push(format!(
                    "{id} has neither a test that carries its id nor a reason why not"
                ));
            }
        }
    }
    let expected: u32 = GROUPS.iter().map(|(_, count, _)| count).sum();
    if rows.len() != expected as usize {
        wrong.push(format!("{} rows, {expected} requirements", rows.len()));
    }
    assert!(
        wrong.is_empty(),
        "docs/requirements.md:\n{}",
        wrong.join("\n")
    );
}
