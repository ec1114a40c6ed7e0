//! `check` on live guests of all four strategies: sound as they are; and unsound, with the rule that
//! says why, once a bit is flipped behind the kernel's back.

mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use serde_json::Value;
use support::console::Console;
use support::{Machine, pagescope, stderr, stdout};

const STRATEGIES: [&str; 4] = ["pool", "self-leaf", "mirror", "demand"];

/// Typed at the console: fresh tables at each level, and leaves of each size.
const LINES: [&str; 3] = ["map 0x100000000", "map 0x140000000 2M", "map 0x2000001000"];

/// D, in an entry.
const DIRTY: u64 = 1 << 7;

/// The answer in JSON, and the exit code.
fn check(address: &str) -> (Value, Option<i32>) {
    let output = pagescope(&["check", address, "--hart", "0", "--format", "json"]);
    let answer = serde_json::from_str(&stdout(&output));
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (answer, output.status.code())
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
}

#[test]
fn four_strategies_are_sound_until_a_bit_is_flipped() {
    for strategy in STRATEGIES {
        let machine = Machine::boot(&format!("tables={strategy} pace=0"), false);
        let mut console = Console::open(&machine);
        for line in LINES {
            console.ask(line);
        }
        let address = machine.address();
        let (answer, code) = check(&address);
        assert_eq!(
            (code, &answer["verdict"]),
            (Some(0), &Value::from("sound")),
            "{strategy}: {answer:#}"
        );
        let tables = answer["spaces"][0]["tables"].as_array().expect("tables");
        assert!(tables.len() >= 10, "{strategy}: {answer:#}");
        for table in tables {
            let windows = table["windows"].as_array().expect("windows");
            assert_eq!(windows.len(), 1, "{strategy}: {table:#}");
        }

        // The last table's window loses D: no machine without Svadu could write it any more.
        let last = tables.last().expect("a table");
        let leaf = &last["windows"][0]["leaf"];
        let index = leaf["index"].as_u64().expect("a number");
        let at = number(&leaf["table"]) + index * 8 - 0x8000_0000;
        let ram = machine.guest.ram_file().expect("RAM lies in a file");
        let ram = OpenOptions::new()
            .read(true)
            .write(true)
            .open(ram)
            .expect("our own file");
        let mut entry = [0; 8];
        ram.read_exact_at(&mut entry, at).expect("the entry");
        let flipped = u64::from_le_bytes(entry) ^ DIRTY;
        ram.write_all_at(&flipped.to_le_bytes(), at)
            .expect("the entry");
        let (answer, code) = check(&address);
        assert_eq!(code, Some(1), "{strategy}: {answer:#}");
        let findings = answer["spaces"][0]["findings"]
            .as_array()
            .expect("findings");
        let faults: Vec<&Value> = findings
            .iter()
            .filter(|finding| finding["severity"] == "fault")
            .collect();
        let [fault] = faults[..] else {
            panic!("{strategy}: {answer:#}")
        };
        assert_eq!(fault["rule"], "window-flags", "{strategy}");
        assert_eq!(fault["table"], last["table"], "{strategy}");
        assert_eq!(fault["entry"], *leaf, "{strategy}");
    }
}

/// A file answers as the guest did, and what is no guest of ours is answered, too.
#[test]
fn a_file_answers_as_its_guest_did() {
    let machine = Machine::boot("tables=self-leaf pace=0", false);
    drop(Console::open(&machine));
    let file = machine.file("now.ron").to_string_lossy().into_owned();
    let output = pagescope(&["snapshot", &machine.address(), "-o", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(check(&file), check(&machine.address()));
    let output = pagescope(&["check", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with("sound: kernel (Sv39, root 0x"), "{text}");
    assert!(text.contains("note    self-entry: "), "{text}");
    let output = pagescope(&["check", &file, "--hart", "9"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let reset = Machine::boot("", true);
    let output = pagescope(&["check", &reset.address()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("nothing to check"),
        "{}",
        stdout(&output)
    );
}
