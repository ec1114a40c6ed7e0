//! The names that a guest's ELF gives to addresses, kept for looking up both ways.

use pagescope_protocol::snapshot::RegionSpace;

use super::Stretch;

/// Most names that are kept: Linux has some 150,000.
const MAX_NAMES: usize = 1 << 18;

/// Longest name that is kept, in bytes.
const MAX_LENGTH: usize = 512;

/// A name with its address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// As people write it: of a mangled name the readable one.
    pub name: String,
    /// Its virtual address.
    pub address: u64,
    /// Its size in bytes; 0 where the file does not say.
    pub size: u64,
}

impl Symbol {
    /// The bytes that it stands for; `None` where nobody knows how many.
    pub fn stretch(&self) -> Option<Stretch> {
        self.address.checked_add(self.size.checked_sub(1)?)?;
        Some(Stretch {
            space: RegionSpace::Virtual,
            start: self.address,
            size: self.size,
        })
    }
}

/// All names, by address and by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Symbols {
    by_address: Vec<Symbol>,
    /// Places in `by_address`, sorted by name.
    by_name: Vec<u32>,
}

impl Symbols {
    /// Keeps `symbols`; what is too long or too many is left out.
    pub fn new(symbols: impl IntoIterator<Item = Symbol>) -> Self {
        let mut by_address: Vec<Symbol> = symbols
            .into_iter()
            .filter(|symbol| !symbol.name.is_empty() && symbol.name.len() <= MAX_LENGTH)
            .take(MAX_NAMES)
            .collect();
        by_address.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        by_address.dedup_by(|a, b| (a.address, &a.name) == (b.address, &b.name));
        let mut by_name: Vec<u32> = (0..by_address.len() as u32).collect();
        by_name.sort_by(|a, b| {
            let [a, b] = [a, b].map(|place| &by_address[*place as usize].name);
            a.cmp(b)
        });
        Self {
            by_address,
            by_name,
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// All of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.by_address.iter()
    }

    /// The symbol of exactly this name.
    pub fn named(&self, name: &str) -> Option<&Symbol> {
        let of = |place: &u32| &self.by_address[*place as usize];
        let first = self
            .by_name
            .partition_point(|place| of(place).name.as_str() < name);
        let found = self.by_name.get(first).map(of)?;
        (found.name == name).then_some(found)
    }

    /// The symbol that `address` lies in, and how far: the last one before it, if it reaches so far. One without
    /// a size reaches to the next one, but no further than a page.
    pub fn at(&self, address: u64) -> Option<(&Symbol, u64)> {
        let after = self
            .by_address
            .partition_point(|symbol| symbol.address <= address);
        // Several may begin at one place: the one that has a size says most.
        let last = self.by_address.get(after.checked_sub(1)?)?;
        let here = self.by_address[..after]
            .iter()
            .rev()
            .take(16)
            .take_while(|symbol| symbol.address == last.address);
        let best = here.max_by_key(|symbol| symbol.size)?;
        let offset = address - best.address;
        let reach = match best.size {
            0 => 4096,
            size => size,
        };
        (offset < reach).then_some((best, offset))
    }

    /// `kalloc+0x1c` for an address in `kalloc`.
    pub fn place_text(&self, address: u64) -> Option<String> {
        let (symbol, offset) = self.at(address)?;
        Some(match offset {
            0 => symbol.name.clone(),
            _ => format!("{}+{offset:#x}", symbol.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        let symbol = |name: &str, address, size| Symbol {
            name: name.into(),
            address,
            size,
        };
        Symbols::new([
            symbol("kfree", 0x8020_0100, 0x40),
            symbol("kalloc", 0x8020_0000, 0x80),
            symbol("text_start", 0x8020_0000, 0),
            symbol("end", 0x8030_0000, 0),
        ])
    }

    #[test]
    fn names_are_found_both_ways() {
        let symbols = symbols();
        assert_eq!(
            symbols.named("kfree").map(|found| found.address),
            Some(0x8020_0100)
        );
        assert_eq!(symbols.named("kfre"), None);
        let place = |address| symbols.place_text(address);
        assert_eq!(place(0x8020_0000).as_deref(), Some("kalloc"));
        assert_eq!(place(0x8020_007f).as_deref(), Some("kalloc+0x7f"));
        assert_eq!(place(0x8020_0080), None);
        assert_eq!(place(0x8030_0010).as_deref(), Some("end+0x10"));
        assert_eq!(place(0x8030_1000), None);
        assert_eq!(place(0), None);
    }
}
