//! What is typed into the address box, at a moment with several spaces and harts.

use std::sync::OnceLock;

use pagescope::model::expression::{MAX_TEXT, Scope, complete, describe, evaluate};
use pagescope::model::fixture::several_spaces;
use pagescope::model::{Selection, Symbol, Symbols};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{Level, PhysPage};

/// Most names that are offered for one place.
const MOST_NAMES: usize = 64;

/// What there is to speak of.
struct Moment {
    snapshot: Snapshot,
    symbols: Symbols,
    tables: Vec<(Level, PhysPage)>,
}

fn moment() -> &'static Moment {
    static MOMENT: OnceLock<Moment> = OnceLock::new();
    MOMENT.get_or_init(|| {
        let snapshot = several_spaces();
        let symbol = |name: &str, address| Symbol {
            name: name.into(),
            address,
            size: 0x40,
        };
        let tables = snapshot.spaces[0].tables.iter();
        Moment {
            symbols: Symbols::new([
                symbol("kalloc", 0x8020_0100),
                symbol("kernel::heap::<impl Größe>::kfree", 0x8020_0200),
                symbol("dead", u64::MAX),
            ]),
            tables: tables.map(|table| (table.level, table.frame)).collect(),
            snapshot,
        }
    })
}

pub(crate) fn run(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Moment {
        snapshot,
        symbols,
        tables,
    } = moment();
    let scope = Scope {
        snapshot,
        space: snapshot.spaces.get(usize::from(choice & 7)),
        hart: u32::from(choice >> 3 & 3),
        symbols,
        tables,
    };
    match evaluate(text, &scope) {
        Ok(value) => {
            assert!(text.len() <= MAX_TEXT, "{} bytes", text.len());
            assert!(!describe(&value, &scope).value.is_empty());
            // An address that comes out is an address that can be typed, and means the same.
            let selection = value.selection();
            let typed = match selection {
                Selection::Physical(at) => format!("p:{at}"),
                Selection::Virtual(at) => format!("v:{at}"),
                _ => return complete_all(text, &scope),
            };
            let again = evaluate(&typed, &scope).map(|value| value.selection());
            assert_eq!(again, Ok(selection), "{typed}");
        }
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{error:?}");
            assert!(!error.to_string().is_empty());
        }
    }
    complete_all(text, &scope);
}

/// At each place of the text: what is offered can be put there.
fn complete_all(text: &str, scope: &Scope<'_>) {
    if text.len() > MAX_TEXT {
        return;
    }
    for cursor in 0..=text.len() {
        let found = complete(text, cursor, scope);
        assert!(found.items.len() <= MOST_NAMES);
        for item in &found.items {
            let mut text = text.to_owned();
            assert!(text.get(found.replace.clone()).is_some(), "{found:?}");
            text.replace_range(found.replace.clone(), &item.insert);
            let _ = evaluate(&text, scope);
        }
    }
}
