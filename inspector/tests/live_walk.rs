//! Our walks against QEMU's own answers, on our kernel.

mod support;

use pagescope::capture::live::translate_live;
use pagescope::link::{HartId, Target as _};
use pagescope_protocol::translate::Outcome;
use pagescope_protocol::{LeafFlags, Satp, TranslationMode, VirtAddr};
use support::{Machine, monitor, pagescope, stdout};

/// `gva2gpa` as a number; `None` for "Unmapped".
fn gva2gpa(target: &mut dyn pagescope::link::Target, address: u64) -> Option<u64> {
    let answer = monitor(target, &format!("gva2gpa {address:#x}"));
    let number = answer.trim().strip_prefix("gpa:").map(str::trim)?;
    Some(u64::from_str_radix(number.trim_start_matches("0x"), 16).expect("a number"))
}

/// Addresses that look at every corner: a small generator of our own, so that a failure repeats.
fn random_addresses(count: usize) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(move |index| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match index % 4 {
            // Anywhere in 64 bits, in Sv39's reach, in RAM, near its top.
            0 => state,
            1 => state % (1 << 39),
            2 => 0x8000_0000 + state % (128 << 20),
            _ => 0x87e0_0000 + state % (2 << 20),
        }
    })
}

/// Holds 2: every mapped page and 1,000 random addresses.
#[test]
fn walks_agree_with_gva2gpa() {
    let machine = Machine::boot("pace=1", true);
    let (mut target, mut capturer, _) = machine.attach_booted();
    let snapshot = capturer.capture(&mut target, "test").expect("a capture");
    let space = snapshot.space_of_hart(0).expect("hart 0 has a space");
    assert_eq!(space.mode, TranslationMode::Sv39);

    let mut addresses: Vec<u64> = Vec::new();
    for mapping in &space.mappings {
        let pages = mapping.size / mapping.page_size;
        for page in 0..pages {
            let first = mapping.virt.as_u64() + page * mapping.page_size;
            addresses.extend([first, first + mapping.page_size - 1]);
        }
    }
    assert!(addresses.len() > 100, "our kernel maps more than that");
    addresses.extend(random_addresses(1000));

    let satp = target
        .register(HartId::new(0), "satp")
        .expect("QEMU")
        .expect("satp is shown");
    for address in addresses {
        let live = translate_live(
            &mut target,
            capturer.machine(),
            Satp::from_bits(satp),
            VirtAddr::new(address),
        )
        .expect("the link stands");
        let ours = live.mapped().map(|mapped| mapped.address.as_u64());
        // The snapshot's own tables give the same answer as the live ones.
        let stored = space.translate(VirtAddr::new(address));
        assert_eq!(stored.outcome, live.outcome, "{address:#x}");
        let page_of = |pa: u64| pa & !0xfff;
        let theirs = gva2gpa(&mut target, address);
        assert_eq!(
            ours.map(page_of),
            theirs.map(page_of),
            "{address:#x}: {:?}",
            live.outcome
        );
        let is_canonical = TranslationMode::Sv39.is_canonical(VirtAddr::new(address));
        assert!(
            is_canonical || matches!(live.outcome, Outcome::Fault(_)),
            "{address:#x}"
        );
    }
    drop(target);

    // The program itself, for some of them: it attaches, walks and leaves.
    for (address, code) in [
        (0x8020_0000_u64, 0),
        (0x87ff_fff8, 0),
        (0x4000, 1),
        (0x80_0000_0000, 1),
    ] {
        let output = pagescope(&[
            "walk",
            &machine.address(),
            &format!("{address:#x}"),
            "--format",
            "json",
        ]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{address:#x}: {}",
            support::stderr(&output)
        );
        let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(answer["mapped"], code == 0);
        if code == 0 {
            assert_eq!(
                answer["pa"],
                format!("{address:#x}"),
                "pseudos maps the identity"
            );
            assert_eq!(answer["steps"][2]["kind"], "leaf");
        } else {
            assert!(answer["reason"].is_string());
        }
    }
}

/// One line of `info mem`, or of ours made alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    virt: u64,
    phys: u64,
    size: u64,
    flags: LeafFlags,
}

fn merged(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::new();
    for line in lines {
        match merged.last_mut() {
            Some(last)
                if last.virt + last.size == line.virt
                    && last.phys + last.size == line.phys
                    && last.flags == line.flags =>
            {
                last.size += line.size;
            }
            _ => merged.push(line),
        }
    }
    merged
}

/// `vaddr paddr size attr`, as target/riscv/monitor.c prints it.
fn parse_info_mem(text: &str) -> Vec<Line> {
    let number = |word: &str| u64::from_str_radix(word, 16).ok();
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [virt, phys, size, attributes] = words.as_slice() else {
            return None;
        };
        Some(Line {
            virt: number(virt)?,
            phys: number(phys)?,
            size: number(size)?,
            flags: LeafFlags::from_letters(attributes)?,
        })
    });
    lines.collect()
}

/// Holds 3: `map` agrees with `info mem` once ranges are merged alike.
#[test]
fn map_agrees_with_info_mem() {
    let machine = Machine::boot("pace=1", true);
    let (mut target, _, _) = machine.attach_booted();
    let theirs = merged(parse_info_mem(&monitor(&mut target, "info mem")));
    assert!(theirs.len() >= 5, "QEMU lists our kernel's mappings");
    drop(target);

    let output = pagescope(&["map", &machine.address(), "--format", "json"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        support::stderr(&output)
    );
    let answer: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    let number = |value: &serde_json::Value| {
        let text = value.as_str().expect("a string");
        u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
    };
    let ours = merged(answer.iter().map(|mapping| Line {
        virt: number(&mapping["va"]),
        phys: number(&mapping["pa"]),
        size: mapping["size"].as_u64().expect("a number of bytes"),
        flags: LeafFlags::from_letters(mapping["flags"].as_str().expect("flags")).expect("flags"),
    }));
    // QEMU's list merges across page sizes, as `merged` does.
    assert_eq!(ours, theirs);
}
