use super::*;
use crate::mapper::ROOT_LEVEL;
use pagescope_protocol::PAGE_SIZE;
use std::collections::BTreeMap;
use std::format;

fn covering(level: Level, at: VirtAddr) -> Table {
    Table::covering(PhysPage::from_truncated(0x87123), level, at)
}

#[test]
fn a_name_leads_to_its_strategy_and_no_other_does() {
    for strategy in STRATEGIES {
        assert_eq!(
            by_name(strategy.name()).map(|found| found.name()),
            Some(strategy.name())
        );
    }
    assert!(by_name("Pool").is_none() && by_name("").is_none());
}

#[test]
fn windows_are_where_the_documents_say() {
    let address = virt(2, 63, 7);
    for (strategy, windows) in [
        (
            by_name("self-leaf"),
            [(2, 63, 510), (511, 2, 510), (511, 511, 510)],
        ),
        (
            by_name("mirror"),
            [(511, 2, 63), (511, 510, 2), (511, 510, 510)],
        ),
        (
            by_name("demand"),
            [(511, 2, 63), (511, 510, 2), (511, 510, 510)],
        ),
    ] {
        let strategy = strategy.expect("it exists");
        for (level, (i, j, k)) in [Level::L0, Level::L1, ROOT_LEVEL].into_iter().zip(windows) {
            let window = strategy.window_of(covering(level, address), Window::IDENTITY);
            assert_eq!(window, virt(i, j, k), "{} {level}", strategy.name());
        }
    }
    let frame = covering(Level::L0, address);
    let window = by_name("pool").map(|pool| pool.window_of(frame, Window::IDENTITY));
    assert_eq!(window, Some(VirtAddr::new(0x8712_3000)));
}

/// With the strategies whose windows depend on the place: no two tables share one, none lies where
/// anything else may be mapped, and the mirror's is the arithmetic that it promises.
#[test]
fn windows_do_not_collide_and_are_reserved() {
    for strategy in STRATEGIES.into_iter().skip(1) {
        let mut seen = BTreeMap::new();
        let places = [0, 1, 63, 255, 256, 509, 510, 511];
        let mut add = |table: Table| {
            // What no table can cover is nobody's window.
            if table.level != ROOT_LEVEL
                && strategy.reserved(table.covers_from, Level::L2).is_some()
            {
                return;
            }
            let window = strategy.window_of(table, Window::IDENTITY);
            assert_eq!(seen.insert(window, table), None, "{window}");
            assert!(strategy.reserved(window, Level::L0).is_some(), "{window}");
            assert_eq!(window.as_u64() % PAGE_SIZE, 0);
        };
        add(covering(ROOT_LEVEL, VirtAddr::new(0)));
        for i in places {
            add(covering(Level::L1, virt(i, 0, 0)));
            for j in places {
                if !(strategy.name() == "self-leaf" && j == 510) {
                    add(covering(Level::L0, virt(i, j, 0)));
                }
            }
        }
        assert!(seen.len() > 40, "{}", format!("{seen:?}"));
    }
    let mirror = by_name("mirror").expect("it exists");
    for (i, j, k) in [(0, 0, 0), (2, 63, 510), (300, 1, 511)] {
        let address = virt(i, j, k);
        let entry = mirror
            .window_of(covering(Level::L0, address), Window::IDENTITY)
            .wrapping_add(k as u64 * 8);
        let number = address.as_u64() >> 12 & ((1 << 27) - 1);
        assert_eq!(entry.as_u64(), 0xffff_ffff_c000_0000 + number * 8);
    }
}
