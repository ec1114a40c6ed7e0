//! What is typed, and what it comes to.

use proptest::prelude::*;

use super::*;
use crate::model::Symbol;
use crate::model::fixture;

fn symbols() -> Symbols {
    let symbol = |name: &str, address, size| Symbol {
        name: name.into(),
        address,
        size,
    };
    Symbols::new([
        symbol("kalloc", 0x8020_0100, 0x80),
        symbol("kernel::heap::kfree", 0x8020_0200, 0x40),
        symbol("dead", 0x8021_0000, 8),
        symbol("trampoline.0", 0x8020_0300, 0),
    ])
}

fn with_scope<T>(work: impl FnOnce(&Scope<'_>) -> T) -> T {
    let snapshot = fixture::pseudos(4);
    let symbols = symbols();
    let page = |number| PhysPage::from_truncated(number);
    let tables = [
        (Level::L2, page(0x87ffc)),
        (Level::L1, page(0x87ffd)),
        (Level::L0, page(0x87ffe)),
    ];
    work(&Scope {
        snapshot: &snapshot,
        space: snapshot.spaces.first(),
        hart: 0,
        symbols: &symbols,
        tables: &tables,
    })
}

fn eval(text: &str) -> Result<Value, String> {
    with_scope(|scope| evaluate(text, scope).map_err(|error| error.to_string()))
}

fn bits(text: &str) -> u64 {
    eval(text)
        .unwrap_or_else(|why| panic!("{text:?}: {why}"))
        .bits
}

fn selects(text: &str) -> Selection {
    eval(text)
        .unwrap_or_else(|why| panic!("{text:?}: {why}"))
        .selection()
}

#[test]
fn numbers_are_read_as_people_type_them() {
    for (text, expected) in [
        (" 0x87ff3000 ", 0x87ff_3000),
        ("87ff_3000", 0x87ff_3000),
        ("10000000", 0x1000_0000),
        ("1000", 0x1000),
        ("0d1000", 1000),
        ("0b101", 5),
        ("0XFF", 0xff),
        ("80200000 + 16", 0x8020_0010),
        ("(80200000) + 0x10", 0x8020_0010),
        ("0x0+80200000", 0x8020_0000),
        ("ffffffffffffffff", u64::MAX),
    ] {
        assert_eq!(bits(text), expected, "{text}");
    }
}

#[test]
fn operators_are_those_of_c() {
    for (text, expected) in [
        ("0x2+3*4", 14),
        ("(0x2+3)*4", 20),
        ("0x1<<12|3", 0x1003),
        ("0xff & 0xf0 >> 4", 0xf),
        ("0x10-4-2", 10),
        ("0x87ffc000 + 2*8", 0x87ff_c010),
        ("0x87ff3abc >> 12 << 12", 0x87ff_3000),
    ] {
        assert_eq!(bits(text), expected, "{text}");
    }
}

#[test]
fn names_are_what_they_name() {
    assert_eq!(bits("kalloc+0x1c"), 0x8020_011c);
    assert_eq!(bits("kalloc + 16"), 0x8020_0110);
    assert_eq!(bits("kernel::heap::kfree"), 0x8020_0200);
    assert_eq!(bits("sp"), 0x8021_ef80);
    assert_eq!(bits("hart0.sp - 8"), 0x8021_ef78);
    assert_eq!(bits("pc"), 0x8020_01a4);
    assert_eq!(bits("heap.next"), bits("heap") - 0x1000);
    assert_eq!(bits("trampoline.0"), 0x8020_0300);
    // A name wins where it is one.
    assert_eq!(bits("dead"), 0x8021_0000);
    assert_eq!(bits("0xdead"), 0xdead);
    assert_eq!(bits("a0"), bits("heap.next") + 0x1000);
    assert_eq!(bits("beef"), 0xbeef);
    let stretch = |space, start, size| Selection::Range(Stretch { space, start, size });
    assert_eq!(
        selects(".text"),
        stretch(RegionSpace::Physical, 0x8020_0000, 0xc000)
    );
    let counter = stretch(RegionSpace::Physical, 0x87ff_ff00, 0x100);
    assert_eq!(selects("heap counter"), counter);
    assert_eq!(selects("\"heap counter\""), counter);
    assert_eq!(bits("heap counter + 0xf8"), 0x87ff_fff8);
    assert_eq!(
        selects("uart0"),
        stretch(RegionSpace::Physical, 0x1000_0000, 0x1000)
    );
}

#[test]
fn a_prefix_says_which_map() {
    let physical = Selection::Physical(PhysAddr::new(0x87ff_3000));
    assert_eq!(selects("p:0x87ff3000"), physical);
    assert_eq!(selects("P: 87ff3000"), physical);
    assert_eq!(
        selects("v:0x87ff3000"),
        Selection::Virtual(VirtAddr::new(0x87ff_3000))
    );
    assert_eq!(
        selects("p:sp"),
        Selection::Physical(PhysAddr::new(0x8021_ef80))
    );
    assert_eq!(
        selects("pa(0x30000004)"),
        Selection::Physical(PhysAddr::new(0x3000_0004))
    );
}

#[test]
fn tables_and_their_entries_are_reached_by_place() {
    let page = |number| PhysPage::from_truncated(number);
    let entry = |level, table, index| Selection::Entry {
        level,
        table: page(table),
        index,
    };
    assert_eq!(selects("l0[499]"), entry(Level::L0, 0x87ffe, 499));
    assert_eq!(selects("root[2]"), entry(Level::L2, 0x87ffc, 2));
    assert_eq!(selects("l0(0x87ff9000)[3]"), entry(Level::L0, 0x87ff9, 3));
    assert_eq!(selects("0x87ffd000[63]"), entry(Level::L1, 0x87ffd, 63));
    assert_eq!(
        selects("satp"),
        Selection::Table {
            level: Level::L2,
            frame: page(0x87ffc)
        }
    );
    // The walk, by hand.
    assert_eq!(bits("*root[2]"), 0x21ff_f401);
    assert_eq!(bits("frame(*root[2])"), 0x87ff_d000);
    assert_eq!(bits("*(root + 2*8)"), 0x21ff_f401);
    assert_eq!(bits("[root + 2*8]"), 0x21ff_f401);
    assert_eq!(bits("*heap.counter"), 12);
}

#[test]
fn errors_name_the_place_and_what_to_type() {
    for (text, at, says) in [
        ("", "", "type an address"),
        ("kalloq", "kalloq", "did you mean kalloc"),
        ("xyzzy", "xyzzy", "neither a number nor a name"),
        ("0x", "0x", "neither"),
        ("0x1 + ", "", "missing"),
        ("(0x1 + 2", "(0x1 + 2", "the ) is missing"),
        ("0x1)", ")", "no ( for this"),
        ("0x1 0x2", "0x2", "operator is missing"),
        ("11112222333344445", "11112222333344445", "64 bits"),
        ("p:0xffffffffffffffff", "p:0xffffffffffffffff", "56 bits"),
        ("0x1 - 2", "- 2", "less than 0"),
        ("0xffffffffffffffff + 1", "+ 1", "more than 64 bits"),
        ("0x1 << 64", " 64", "cannot be shifted"),
        ("kalloc + kalloc", "+ kalloc", "cannot be added"),
        ("l0[512]", "l0[512]", "0 to 511"),
        ("kalloc[0]", "kalloc[0]", "takes an entry of a table"),
        ("*0x84000000", "*0x84000000", "not mapped"),
        (
            "pa(0x80216000)",
            "pa(0x80216000)",
            "the L0 entry is invalid",
        ),
        ("l3", "l3", "no L3 table"),
    ] {
        let error = with_scope(|scope| evaluate(text, scope)).unwrap_err();
        assert!(error.what.contains(says), "{text:?}: {error}");
        assert_eq!(&text[error.at.clone()], at, "{text:?}: {error}");
    }
}

#[test]
fn what_it_means_is_said_before_enter() {
    let say = |text: &str| {
        with_scope(|scope| {
            let meaning = describe(&evaluate(text, scope).unwrap(), scope);
            (
                format!("{}: {}", meaning.value, meaning.words),
                meaning.is_there,
            )
        })
    };
    assert_eq!(
        say("kalloc+4"),
        (
            "0x80200104, virtual: kalloc+0x4, mapped to 0x80200104, r-x--a-".into(),
            true
        )
    );
    assert_eq!(
        say("0x80216000"),
        (
            "0x80216000, virtual: not mapped: the L0 entry is invalid".into(),
            false
        )
    );
    assert!(say("0x1f4").0.starts_with("0x1f4 = 500, virtual"));
    assert!(say("p:0x80200000").0.contains(".text"));
    assert!(say("root[2]").0.contains("Pointer, 0x21fff401"));
}

#[test]
fn names_are_completed() {
    let offered = |text: &str| {
        with_scope(|scope| {
            let found = complete(text, text.len(), scope);
            let names: Vec<String> = found.items.iter().map(|item| item.insert.clone()).collect();
            (text[found.replace].to_owned(), names)
        })
    };
    assert_eq!(offered("kal"), ("kal".into(), vec!["kalloc".into()]));
    let (word, names) = offered("sp + kf");
    assert_eq!(
        (word.as_str(), names.as_slice()),
        ("kf", &["kernel::heap::kfree".to_owned()][..])
    );
    let (word, names) = offered("p:hea");
    assert_eq!(word, "hea");
    assert!(names.contains(&"\"heap counter\"".to_owned()) && names.contains(&"heap.next".into()));
    assert_eq!(offered("heap coun").1, ["\"heap counter\""]);
    assert!(offered("hart0.s").1.contains(&"hart0.sp".to_owned()));
    assert_eq!(offered("kalloc").1, Vec::<String>::new());
    assert_eq!(offered("").1, Vec::<String>::new());
    assert_eq!(offered("0x1 + ").1, Vec::<String>::new());
}

proptest! {
    #[test]
    fn no_text_does_any_harm(text in "\\PC{0,80}", cursor in 0usize..80) {
        with_scope(|scope| {
            match evaluate(&text, scope) {
                Ok(value) => drop(describe(&value, scope)),
                Err(error) => prop_assert!(text.get(error.at.clone()).is_some(), "{error:?}"),
            }
            let found = complete(&text, cursor, scope);
            prop_assert!(text.get(found.replace).is_some());
            Ok(())
        })?;
    }

    #[test]
    fn no_expression_does_any_harm(
        parts in prop::collection::vec(prop::sample::select(vec![
            "root", "l0", "[", "]", "(", ")", "*", "&", "+", "-", "<<", ">>", "|", "pa(", "frame(", "p:", "0x87ffc000",
            "2", "heap", "sp", "kalloc", "\"", "heap counter", "é", " ", "ffffffffffffffff", "::", "hart0.",
        ]), 0..60),
    ) {
        let text = parts.concat();
        with_scope(|scope| {
            if let Err(error) = evaluate(&text, scope) {
                prop_assert!(text.get(error.at.clone()).is_some(), "{text:?} {error:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn sums_are_sums(one in 0u64..1 << 40, other in 0u64..1 << 20) {
        prop_assert_eq!(bits(&format!("{one:#x} + {other:#x}")), one + other);
        prop_assert_eq!(bits(&format!("{one:#x}*1 + {other} - {other}")), one);
    }
}

#[test]
fn a_prefix_is_said_of_what_follows_it() {
    // The counter's frame is no virtual address of this space under another number.
    let counter = with_scope(|scope| scope.snapshot.heap.unwrap().counter_address.as_u64());
    assert_eq!(bits(&format!("*p:{counter:#x}")), 12);
    assert_eq!(bits(&format!("*P:({counter:#x})")), 12);
    assert_eq!(bits(&format!("[p:{counter:#x}] + 1")), 13);
    let physical = |address| Selection::Physical(PhysAddr::new(address));
    assert_eq!(selects("(p:0x87ff3000 + 8)"), physical(0x87ff_3008));
    assert_eq!(selects("p:(sp + 8)"), physical(bits("sp") + 8));
    assert_eq!(selects("p:sp + 8"), physical(bits("sp") + 8));
    assert_eq!(selects("8 + p:(sp)"), physical(bits("sp") + 8));
    assert_eq!(
        selects("&v:0x1000"),
        Selection::Virtual(VirtAddr::new(0x1000))
    );
    assert!(eval("(p:0x1000 + v:0x1000)").is_err());
    assert!(eval("p::map").is_err());
    assert!(eval(&"p:".repeat(100)).unwrap_err().contains("too deep"));
}

#[test]
fn a_word_is_what_was_captured_before_it_is_a_watch() {
    with_scope(|scope| {
        let held = &scope.snapshot.frames[0];
        let (frame, word) = (held.frame.start(), held.words.words()[1]);
        let mut snapshot = scope.snapshot.clone();
        let watch = |address: PhysAddr, value, bytes| pagescope_protocol::snapshot::Watch {
            name: format!("{address} {bytes}"),
            address,
            value: Some(value),
            bytes,
        };
        let elsewhere = PhysAddr::new(0x8020_0000);
        let at = PhysAddr::new(frame.as_u64() + 8);
        snapshot.watches = vec![watch(at, 0x13, 8), watch(elsewhere, 0x13, 1)];
        let read = |snapshot: &Snapshot, at: PhysAddr| {
            let scope = Scope { snapshot, ..*scope };
            evaluate(&format!("*p:{at}"), &scope).map(|value| value.bits)
        };
        assert_eq!(read(&snapshot, at), Ok(word));
        // A byte is no word.
        assert!(read(&snapshot, elsewhere).is_err());
        snapshot.watches.push(watch(elsewhere, 0x1234_5678_9abc, 8));
        assert_eq!(read(&snapshot, elsewhere), Ok(0x1234_5678_9abc));
    });
}
