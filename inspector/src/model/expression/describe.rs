//! What a value means, in words: shown before anybody presses Enter.

use pagescope_protocol::snapshot::{RegionSpace, SpaceOutcome};
use pagescope_protocol::{PhysAddr, TranslationMode, VirtAddr};

use super::{Kind, Scope, Value};
use crate::model::entry_words::title_of;
use crate::model::{Selection, size_text};

/// What a value means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// `0x87ff3008, virtual`.
    pub value: String,
    /// `mapped to 0x87ff3008, rw---ad`.
    pub words: String,
    /// Whether it leads somewhere.
    pub is_there: bool,
}

/// What `value` means.
pub fn describe(value: &Value, scope: &Scope<'_>) -> Meaning {
    let number = format!("{:#x}", value.bits);
    match value.selection() {
        Selection::Entry {
            level,
            table,
            index,
        } => {
            let mode = scope
                .space
                .map_or(TranslationMode::Bare, |space| space.mode);
            let pte = scope
                .space
                .and_then(|space| space.table_at(table, level))
                .and_then(|table| table.entry(index));
            let words = match pte {
                Some(pte) => {
                    let what = title_of(mode.classify(pte, level));
                    format!("{what}, {:#x}", pte.bits())
                }
                None => "not read".into(),
            };
            Meaning {
                value: format!("{level}[{index}] of the table {table}"),
                words,
                is_there: pte.is_some(),
            }
        }
        Selection::Table { level, frame } => Meaning {
            value: format!("{level} table {frame}"),
            words: match value.bits == frame.start().as_u64() {
                true => String::new(),
                false => format!("from {number}"),
            },
            is_there: true,
        },
        Selection::Range(stretch) => {
            let which = match stretch.space {
                RegionSpace::Virtual => "virtual",
                RegionSpace::Physical => "physical",
            };
            Meaning {
                value: format!("{number}, {which}"),
                words: format!("{}, to {:#x}", size_text(stretch.size), stretch.last()),
                is_there: true,
            }
        }
        Selection::Physical(physical) => Meaning {
            value: format!("{number}, physical"),
            words: memory_at(scope, physical),
            is_there: true,
        },
        Selection::Virtual(virt) => at_virtual(value.kind, number, virt, scope),
        Selection::Nothing => Meaning {
            value: number,
            words: String::new(),
            is_there: false,
        },
    }
}

fn at_virtual(kind: Kind, number: String, virt: VirtAddr, scope: &Scope<'_>) -> Meaning {
    let value = match kind {
        // A register's value or a sum: both readings may be wanted.
        Kind::Number if virt.as_u64() < 1 << 20 => format!("{number} = {}, virtual", virt.as_u64()),
        _ => format!("{number}, virtual"),
    };
    let symbol = scope.symbols.place_text(virt.as_u64());
    let named = |words: String| match &symbol {
        Some(symbol) => format!("{symbol}, {words}"),
        None => words,
    };
    let Some(space) = scope.space else {
        return Meaning {
            value,
            words: named("no space to look it up in".into()),
            is_there: false,
        };
    };
    if space.mode == TranslationMode::Bare {
        return Meaning {
            value,
            words: named("translation is off".into()),
            is_there: true,
        };
    }
    let (words, is_there) = match scope.snapshot.translate(space, virt).outcome() {
        SpaceOutcome::Mapped(physical) => {
            let flags = space.mapping_of(virt).map(|mapping| mapping.flags);
            let flags = flags.map_or_else(String::new, |flags| format!(", {flags}"));
            (format!("mapped to {physical}{flags}"), true)
        }
        SpaceOutcome::Fault(why) => (why.to_string(), false),
        SpaceOutcome::Unreadable(_) => ("not known: a table could not be read".into(), false),
    };
    Meaning {
        value,
        words: named(words),
        is_there,
    }
}

/// What lies at a physical address: the smallest region, else the device or RAM.
fn memory_at(scope: &Scope<'_>, physical: PhysAddr) -> String {
    let named = physical.page().and_then(|page| {
        let table = scope.space.and_then(|space| space.table(page));
        let table = table.map(|table| format!("in the {} table", table.level));
        let region = || crate::model::reverse::region_of(scope.snapshot, page).map(str::to_owned);
        table.or_else(region)
    });
    let around = || {
        let mut regions = scope.snapshot.physical.iter();
        let found = regions.find(|region| {
            let range = region.range();
            range.is_some_and(|range| range.contains(physical))
        });
        found.map(|region| region.name.clone())
    };
    named
        .or_else(around)
        .unwrap_or_else(|| "nothing is known to be there".into())
}
