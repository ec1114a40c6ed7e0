//! The names that mean something where the guest is. An image of ours carries the programs of all layouts, and one of them
//! runs: the others' names stand for addresses at which there is something else, or nothing.

use pagescope_protocol::VirtAddr;

use super::Scope;
use crate::model::Symbol;

/// The layouts that an image of ours carries.
const LAYOUTS: [&str; 4] = ["pseudos", "hypervisor", "process", "nanos"];

impl<'a> Scope<'a> {
    /// The symbols of what runs, by address; all of them where the guest is not ours.
    pub fn symbols_here(&self) -> impl Iterator<Item = &'a Symbol> + use<'a> {
        let kernel = self.snapshot.kernel.as_ref();
        let layout = kernel.map_or("", |facts| facts.layout.as_str());
        let others: Vec<&str> = match LAYOUTS.contains(&layout) {
            true => LAYOUTS.into_iter().filter(|one| *one != layout).collect(),
            false => Vec::new(),
        };
        let space = self.space;
        self.symbols.iter().filter(move |symbol| {
            if others.is_empty() {
                return true;
            }
            if others.iter().any(|other| is_of(&symbol.name, other)) {
                return false;
            }
            // Each program has its own copy of what libraries bring; this one's is mapped.
            let is_anybodys = symbol.name.contains("::") && !is_of(&symbol.name, layout);
            let virt = VirtAddr::new(symbol.address);
            !is_anybodys || space.is_none_or(|space| space.translate(virt).mapped().is_some())
        })
    }
}

/// Whether `name` is of the program of `layout`: `process.kalloc`, `process::heap::grow`,
/// `<pagescope_kernel::process::Heap as Debug>::fmt`.
fn is_of(name: &str, layout: &str) -> bool {
    let Some(at) = name.find(layout) else {
        return false;
    };
    let (before, after) = (&name[..at], &name[at + layout.len()..]);
    match at {
        0 => after.starts_with('.') || after.starts_with("::"),
        _ => after.starts_with("::") && before.ends_with("pagescope_kernel::"),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::expression::Scope;
    use crate::model::{Symbol, Symbols, fixture};

    #[test]
    fn names_of_programs_that_do_not_run_are_left_out() {
        let mut snapshot = fixture::pseudos(3);
        let symbols = Symbols::new(
            [
                ("kalloc", 0x8020_0100),
                ("pseudos::kernel::map", 0x8020_0200),
                ("process.kalloc", 0x1_2a10),
                ("process::heap::grow", 0x1_2b00),
                (
                    "<pagescope_kernel::nanos::Heap as core::fmt::Debug>::fmt",
                    0x7f00_0200,
                ),
                ("core::panicking::panic", 0x7f01_0000),
                ("core::panicking::panic", 0x8020_0400),
                ("process_all", 0x8020_0300),
            ]
            .map(|(name, address)| Symbol {
                name: name.into(),
                address,
                size: 16,
            }),
        );
        let listed = |snapshot: &pagescope_protocol::snapshot::Snapshot| -> Vec<(String, u64)> {
            let scope = Scope {
                snapshot,
                space: snapshot.spaces.first(),
                hart: 0,
                symbols: &symbols,
                tables: &[],
            };
            let here = scope.symbols_here();
            here.map(|symbol| (symbol.name.clone(), symbol.address))
                .collect()
        };
        let names = |addresses: &[(&str, u64)]| -> Vec<(String, u64)> {
            let names = addresses.iter();
            names.map(|(name, at)| ((*name).to_owned(), *at)).collect()
        };
        assert_eq!(
            listed(&snapshot),
            names(&[
                ("kalloc", 0x8020_0100),
                ("pseudos::kernel::map", 0x8020_0200),
                ("process_all", 0x8020_0300),
                ("core::panicking::panic", 0x8020_0400),
            ])
        );
        // Somebody else's kernel keeps every name.
        snapshot.kernel = None;
        assert_eq!(listed(&snapshot).len(), 8);
    }
}
