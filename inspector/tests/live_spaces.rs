//! The layouts of several spaces from outside: their names, their regions, their trace, two of them compared,
//! over the gdb port, as a user of the command line sees them.

mod support;

use serde_json::Value;
use support::{HANG_GUARD, Machine, pagescope, stderr, stdout};

/// A layout that has come as far as its idle loop.
fn booted(layout: &str, harts: u32) -> Machine {
    let machine = Machine::boot_layout(layout, &format!("layout={layout} pace=20"), harts, false);
    let deadline = std::time::Instant::now() + HANG_GUARD;
    // It calls kalloc by itself from there on.
    loop {
        let all = json(&machine, &["trace"], &["--kind", "kalloc"]);
        let is_idle = |event: &Value| {
            let symbol = event["symbol"].as_str().unwrap_or("");
            symbol.contains("idle")
        };
        if all.as_array().is_some_and(|all| all.iter().any(is_idle)) {
            return machine;
        }
        assert!(std::time::Instant::now() < deadline, "{layout}: {all:#}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// What a command answers about a guest: its words, the guest's address, further words.
fn json(machine: &Machine, command: &[&str], rest: &[&str]) -> Value {
    let address = machine.address();
    let elf = machine.elf_text();
    let mut words = command.to_vec();
    words.push(&address);
    words.extend(rest);
    words.extend(["--format", "json"]);
    if command[0] != "spaces" && command[0] != "diff" {
        words.extend(["--elf", &elf]);
    }
    let output = pagescope(&words);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item[key].as_str()?.to_owned()))
        .collect()
}

/// S2.7 from outside: a space for each hart, and the cpu struct alone differs.
#[test]
fn harts_differ_in_their_cpu_struct_alone() {
    let machine = booted("hypervisor", 4);
    let spaces = json(&machine, &["spaces"], &[]);
    assert_eq!(
        names(&spaces, "name"),
        ["hart 0", "hart 1", "hart 2", "hart 3"]
    );
    let pairs = ["--space", "hart 0", "--space", "hart 1"];
    let difference = json(&machine, &["diff"], &pairs);
    let ranges = difference["ranges"].as_array().expect("ranges");
    assert!(!ranges.is_empty());
    for range in ranges {
        let va = range["va"].as_str().unwrap_or("");
        assert!(va.starts_with("0xffffffc0400"), "{range:#}");
        assert_eq!(range["what"], "frame", "{range:#}");
    }
    // Each is mapped under its own name, and the map of each says so.
    for hart in ["hart 0", "hart 3"] {
        let map = json(&machine, &["map"], &["--space", hart]);
        let cpu = names(&map, "name");
        assert!(cpu.iter().any(|name| name.contains("cpu")), "{cpu:?}");
    }
    let output = pagescope(&["map", &machine.address(), "--space", "hart"]);
    assert_eq!(output.status.code(), Some(2), "four begin so");
    assert!(
        stderr(&output).contains("\"hart 2\""),
        "{}",
        stderr(&output)
    );
}

/// Processes that no hart runs in now are reached by their names, and each has regions of its own.
#[test]
fn a_process_that_waits_is_walked() {
    let machine = booted("process", 1);
    let spaces = json(&machine, &["spaces"], &[]);
    let processes: Vec<&Value> = spaces
        .as_array()
        .into_iter()
        .flatten()
        .filter(|space| space["kind"] == "process")
        .collect();
    assert!(processes.len() >= 3, "{spaces:#}");
    let resting = processes
        .iter()
        .filter(|space| space["harts"].as_array().is_some_and(Vec::is_empty));
    assert!(resting.count() >= 2, "one hart runs in one at most");
    let name = processes[0]["name"].as_str().expect("a name");
    let regions = json(&machine, &["regions"], &["--space", name]);
    let own = regions.as_array().into_iter().flatten();
    let guard: Vec<&Value> = own
        .filter(|region| region["owner"] == *name && region["kind"] == "guard")
        .collect();
    let [guard] = guard[..] else {
        panic!("{regions:#}")
    };
    assert_eq!(guard["mapped"], "no", "S3.7: never mapped");
    let at = guard["start"].as_str().expect("an address");
    let output = pagescope(&["walk", &machine.address(), at, "--space", name]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    // The user's text is there, for the user, in its space and in no other.
    let text = regions
        .as_array()
        .into_iter()
        .flatten()
        .find(|region| region["name"] == "user .text")
        .expect("S3.3");
    let at = text["start"].as_str().expect("an address");
    let output = pagescope(&["walk", &machine.address(), at, "--space", name]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let output = pagescope(&["walk", &machine.address(), at, "--space", "kernel"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

/// S4.11, S4.12 from outside: tags, descriptions, and who mapped what.
#[test]
fn nanos_describes_what_it_has() {
    let machine = booted("nanos", 1);
    let regions = json(&machine, &["regions"], &[]);
    let of = |name: &str| {
        let mut all = regions.as_array().into_iter().flatten();
        all.find(|region| region["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {regions:#}"))
    };
    assert_eq!(of("zero page")["mapped"], "no");
    assert_eq!(of("virtual_page")["start"], "0x100000000");
    assert_eq!(of("virtual_page")["tag"], "virtual_huge");
    assert!(
        of("user heap")["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let trace = json(&machine, &["trace"], &["--kind", "map", "--last", "3"]);
    let events = trace.as_array().expect("events");
    assert_eq!(events.len(), 3);
    for event in events {
        assert_eq!(event["kind"], "map");
        assert!(event["flags"].is_string(), "{event:#}");
        assert!(event["symbol"].as_str().is_some_and(|by| !by.is_empty()));
    }
    let output = pagescope(&["trace", &machine.address(), "--kind", "swim"]);
    assert_eq!(output.status.code(), Some(2));
}
