#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod independent;
use independent::*;
use std::collections::BTreeMap;

#[test]
fn cover() {
    for mode in MODES {
        let mut random = Random::new(mode.number * 7 + u64::from(mode.levels));
        let mut arena = Arena::new(0x8000_0000);
        let mut tables = Tables::new(mode, &mut arena);
        fill(
            &mut tables,
            &mut arena,
            &mut random,
            3000,
            &mut |r, size| r.below(1 << (mode.ppn_bits + 12)) & !(size - 1),
        );
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..100_000 {
            let a = probe(&tables, &mut random);
            let answer = look_up(mode, tables.root, a, Access::Map, &mut |at, b| {
                arena.read(at, b)
            });
            let key = match answer {
                Answer::Mapped(f) => format!("mapped {:x} L{}", f.page_size, f.level),
                Answer::BadAddress => "bad".into(),
                Answer::Fault(l, w) => format!("{w:?} L{l}"),
                Answer::Unreadable(l, _) => format!("unreadable L{l}"),
            };
            *counts.entry(key).or_default() += 1;
        }
        println!(
            "{} {} KiB {} spots {counts:?}",
            mode.name,
            arena.bytes.len() >> 10,
            tables.spots.len()
        );
    }
    for (first, second) in [
        (&SV32, &SV32X4),
        (&SV39, &SV39X4),
        (&SV48, &SV57X4),
        (&SV57, &SV48X4),
    ] {
        let mut random = Random::new(5);
        let two = TwoStage::build(first, second, 0x8000_0000, &mut random, 1500);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..100_000 {
            let a = probe(&two.first, &mut random);
            let answer = look_up_both(
                (first, two.first.root),
                (second, two.second.root),
                a,
                &two.arena,
            );
            let key = match answer {
                BothAnswer::Mapped { .. } => "mapped".into(),
                BothAnswer::First(a) => format!("first {a:?}").chars().take(16).collect(),
                BothAnswer::Second(g, _, a) => format!(
                    "second {g:?} {}",
                    format!("{a:?}").chars().take(22).collect::<String>()
                ),
            };
            *counts.entry(key).or_default() += 1;
        }
        println!(
            "{} {} {} KiB {counts:#?}",
            first.name,
            second.name,
            two.arena.bytes.len() >> 10
        );
    }
}
