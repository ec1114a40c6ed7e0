//! What a name means: a register, a region, a device, a symbol, or one of the few words of our own.

use pagescope_protocol::snapshot::{Hart, Region, RegionSpace};
use pagescope_protocol::{Level, PAGE_SIZE};

use super::{Kind, Scope, Value};
use crate::model::{Selection, Stretch};

/// The words of our own, each with what it means.
pub(super) const WORDS: [(&str, &str); 6] = [
    ("root", "the root table of this space"),
    ("heap", "the pages that the allocator has handed out"),
    ("heap.next", "the page that the allocator hands out next"),
    ("heap.top", "the first page that the allocator handed out"),
    ("heap.bottom", "the lowest page that the allocator has"),
    ("heap.counter", "where the heap counter lies"),
];

/// The functions, each with what it gives.
pub(super) const FUNCTIONS: [(&str, &str); 4] = [
    ("pa", "the physical address that a virtual one leads to"),
    ("page", "the first address of the page"),
    (
        "ppn",
        "the page's number: the address without its low 12 bits",
    ),
    ("frame", "the frame that an entry's PPN names"),
];

/// What `name` means, if it is a name.
pub(super) fn meaning(name: &str, scope: &Scope<'_>) -> Option<Value> {
    register(name, scope)
        .or_else(|| region(name, scope))
        .or_else(|| device(name, scope))
        .or_else(|| symbol(name, scope))
        .or_else(|| word(name, scope))
}

/// Regions and devices of whose names more than a word stands at the beginning of `text`: the longest.
pub(super) fn longest_at<'a>(text: &str, scope: &Scope<'a>) -> Option<&'a str> {
    let regions = regions(scope).map(|region| region.name.as_str());
    let devices = scope.snapshot.physical.iter();
    let names = regions.chain(devices.map(|device| device.name.as_str()));
    let begins = |name: &&str| {
        let head = text.get(..name.len());
        let rest = text.get(name.len()..).and_then(|rest| rest.chars().next());
        !name.is_empty()
            && head.is_some_and(|head| head.eq_ignore_ascii_case(name))
            && !rest.is_some_and(is_word)
    };
    names.filter(begins).max_by_key(|name| name.len())
}

/// Whether `letter` can stand in a word.
pub(super) const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '$') || !letter.is_ascii()
}

/// The regions that count in the space being looked at.
pub(super) fn regions<'a>(scope: &Scope<'a>) -> impl Iterator<Item = &'a Region> {
    let space = scope.space.map(|space| space.name.as_str());
    let all = scope.snapshot.regions.iter();
    all.filter(move |region| space.is_none_or(|space| region.counts_in(space)))
}

/// The hart being looked at, or the first.
pub(super) fn hart<'a>(scope: &Scope<'a>, id: u32) -> Option<&'a Hart> {
    let harts = &scope.snapshot.harts;
    harts.iter().find(|hart| hart.id == id)
}

fn register(name: &str, scope: &Scope<'_>) -> Option<Value> {
    let (id, name) = match name.split_once('.') {
        Some((hart, name)) => (hart.strip_prefix("hart")?.parse().ok()?, name),
        None => (scope.hart, name),
    };
    let hart = hart(scope, id)?;
    let mut registers = hart.registers.iter();
    let found = registers.find(|register| register.name.eq_ignore_ascii_case(name));
    let bits = match found {
        Some(register) => register.value,
        None if name.eq_ignore_ascii_case("pc") => hart.pc?.as_u64(),
        None if name.eq_ignore_ascii_case("satp") => hart.satp?.bits(),
        None => return None,
    };
    let mut value = Value::new(bits, Kind::Number);
    // Nobody looks for the number in satp as an address: what it leads to is the root table.
    if name.eq_ignore_ascii_case("satp") {
        let root = hart.satp.and_then(|satp| {
            let mut spaces = scope.snapshot.spaces.iter();
            let space = spaces.find(|space| space.root == satp.root())?;
            Some((space.mode.root_level()?, space.root))
        });
        value.target = root.map(|(level, frame)| Selection::Table { level, frame });
    }
    Some(value)
}

fn region(name: &str, scope: &Scope<'_>) -> Option<Value> {
    let mut regions = regions(scope);
    let region = regions.find(|region| region.name.eq_ignore_ascii_case(name))?;
    region.last()?;
    Some(Value::stretch(Stretch {
        space: region.space,
        start: region.start,
        size: region.size,
    }))
}

fn device(name: &str, scope: &Scope<'_>) -> Option<Value> {
    let mut devices = scope.snapshot.physical.iter();
    let device = devices.find(|device| device.name.eq_ignore_ascii_case(name))?;
    device.range()?;
    Some(Value::stretch(Stretch {
        space: RegionSpace::Physical,
        start: device.start.as_u64(),
        size: device.size,
    }))
}

fn symbol(name: &str, scope: &Scope<'_>) -> Option<Value> {
    let symbol = scope.symbols.named(name)?;
    Some(Value::new(symbol.address, Kind::Virtual))
}

fn word(name: &str, scope: &Scope<'_>) -> Option<Value> {
    let at = |address: u64| Some(Value::new(address, Kind::Physical));
    let heap = scope.snapshot.heap;
    match name.to_ascii_lowercase().as_str() {
        "root" => {
            let space = scope.space?;
            let level = space.mode.root_level()?;
            Some(table(level, space.root))
        }
        "heap" => {
            let heap = heap?;
            let start = heap.next.as_u64().checked_add(PAGE_SIZE)?;
            let size = heap
                .top
                .as_u64()
                .checked_add(PAGE_SIZE)?
                .checked_sub(start)?;
            (size > 0).then(|| {
                Value::stretch(Stretch {
                    space: RegionSpace::Physical,
                    start,
                    size,
                })
            })
        }
        "heap.next" => at(heap?.next.as_u64()),
        "heap.top" => at(heap?.top.as_u64()),
        "heap.bottom" => at(heap?.bottom.as_u64()),
        "heap.counter" => at(heap?.counter_address.as_u64()),
        _ => None,
    }
}

/// A table as a value: its frame's address.
pub(super) const fn table(level: Level, frame: pagescope_protocol::PhysPage) -> Value {
    Value {
        bits: frame.start().as_u64(),
        kind: Kind::Physical,
        target: Some(Selection::Table { level, frame }),
    }
}

/// `l0`, `L2`.
pub(super) fn level(word: &str) -> Option<Level> {
    let number = word.strip_prefix(['l', 'L'])?;
    (number.len() == 1).then_some(())?;
    Level::from_number(number.parse().ok()?)
}

/// Names that look like `name`, the closest first: at most three.
pub(super) fn similar(name: &str, scope: &Scope<'_>) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    let close = |known: &str| {
        let differs = known.len().abs_diff(wanted.len());
        // People get the first letter right, and a kernel has a hundred thousand names.
        let begins = known.bytes().next().map(|byte| byte.to_ascii_lowercase());
        if begins != wanted.bytes().next() || wanted.len() > 64 || differs > 2 {
            return None;
        }
        let known = known.to_ascii_lowercase();
        let distance = distance(&wanted, &known);
        (distance <= 2 && distance * 2 < wanted.len()).then_some(distance)
    };
    let registers = hart(scope, scope.hart)
        .into_iter()
        .flat_map(|hart| hart.registers.iter().map(|register| register.name.as_str()));
    let names = regions(scope)
        .map(|region| region.name.as_str())
        .chain(
            scope
                .snapshot
                .physical
                .iter()
                .map(|device| device.name.as_str()),
        )
        .chain(WORDS.iter().map(|(word, _)| *word))
        .chain(registers)
        .chain(scope.symbols_here().map(|symbol| symbol.name.as_str()));
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|known| Some((close(known)?, known)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(3)
        .map(|(_, known)| known.to_owned())
        .collect()
}

/// How many letters have to be changed, added or left out (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = at;
        row[0] = at + 1;
        for place in 0..other.len() {
            let swapped = corner + usize::from(letter != other[place]);
            corner = row[place + 1];
            row[place + 1] = swapped.min(corner + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}
