//! Our walks against QEMU's own, in every mode, on tables that no kernel built.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod bare_machine;
#[path = "../../protocol/tests/independent/mod.rs"]
mod independent;

use bare_machine::{BareMachine, TABLES, Wanted};
use independent::*;
use pagescope::capture::Capturer;
use pagescope::link::Target;
use pagescope_protocol::VirtAddr;

/// `gva2gpa` as a number; `None` for "Unmapped".
fn gva2gpa(target: &mut dyn Target, address: u64) -> Option<u64> {
    let answer = target.monitor(&format!("gva2gpa {address:#x}"));
    let answer = answer.unwrap().unwrap();
    let number = answer.trim().strip_prefix("gpa:").map(str::trim)?;
    Some(u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap())
}

#[test]
fn sv39() {
    for mode in [&SV39, &SV48, &SV57] {
        let mut random = Random::new(11);
        let mut arena = Arena::new(TABLES);
        let mut tables = Tables::new(mode, &mut arena);
        fill(
            &mut tables,
            &mut arena,
            &mut random,
            1500,
            &mut |random, size| random.below(1 << 44) & !(size - 1),
        );
        let machine = BareMachine::start(&Wanted {
            program: "qemu-system-riscv64",
            cpu: "rv64",
            tables: &arena.bytes,
            registers: &[("satp", mode.register(tables.root))],
            virtualized: false,
        });
        let mut target = machine.qemu.connect();
        let mut capturer = Capturer::new(&mut target, None).unwrap();
        let snapshot = capturer.capture(&mut target, "test").unwrap();
        let space = &snapshot.spaces[0];
        let mut differ = 0;
        for _ in 0..2000 {
            let address = probe(&tables, &mut random);
            let theirs = gva2gpa(&mut target, address);
            let answer = look_up(mode, tables.root, address, Access::Map, &mut |at, b| {
                arena.read(at, b)
            });
            let ours = space.translate(VirtAddr::new(address)).mapped();
            let reference = match &answer {
                Answer::Mapped(f) => Some(f.address),
                _ => None,
            };
            assert_eq!(ours.map(|m| m.address.as_u64()), reference);
            if theirs != reference {
                differ += 1;
                if differ < 40 {
                    println!("{} {address:#x} {theirs:x?} {answer:x?}", mode.name);
                }
            }
        }
        println!("{} differ {differ}", mode.name);
    }
}

#[test]
fn two() {
    for (first, second) in [
        (&SV39, &SV39X4),
        (&SV48, &SV57X4),
        (&SV57, &SV48X4),
        (&SV32, &SV32X4),
    ] {
        let mut random = Random::new(5);
        let two = TwoStage::build(first, second, TABLES, &mut random, 1500);
        let machine = BareMachine::start(&Wanted {
            program: if first.is_rv32() {
                "qemu-system-riscv32"
            } else {
                "qemu-system-riscv64"
            },
            cpu: if first.is_rv32() {
                "rv32,h=on"
            } else {
                "rv64,svnapot=on,svpbmt=on"
            },
            tables: &two.arena.bytes,
            registers: &[
                ("vsatp", first.register(two.first.root)),
                ("hgatp", second.register(two.second.root)),
            ],
            virtualized: true,
        });
        let mut target = machine.qemu.connect();
        println!(
            "{}",
            target
                .monitor("info registers")
                .unwrap()
                .unwrap()
                .lines()
                .take(30)
                .collect::<Vec<_>>()
                .join("|")
        );
        for name in ["satp", "vsatp", "hgatp"] {
            println!(
                "{name} {:x?}",
                target.register(pagescope::link::HartId::new(0), name)
            );
        }
        let mut differ = 0;
        let mut mapped = 0;
        for _ in 0..2000 {
            let address = probe(&two.first, &mut random);
            let theirs = gva2gpa(&mut target, address);
            let answer = look_up_both(
                (first, two.first.root),
                (second, two.second.root),
                address,
                &two.arena,
            );
            let reference = match &answer {
                BothAnswer::Mapped { second, .. } => Some(second.address),
                _ => None,
            };
            if reference.is_some() {
                mapped += 1;
            }
            if theirs != reference {
                differ += 1;
                if differ < 40 {
                    println!("{} {address:#x} {theirs:x?} {answer:x?}", first.name);
                }
            }
        }
        println!(
            "{} {} differ {differ} mapped {mapped}",
            first.name, second.name
        );
    }
}
