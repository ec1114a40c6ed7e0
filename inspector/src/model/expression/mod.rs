//! What can be typed into the address box, and what it means at one moment.
//!
//! ```text
//!  0x87ff_3000   87ff3000       an address: hexadecimal where it stands first; digits alone are decimal further on
//!  p:0x87ff3000  v:…            a physical, a virtual address; first it is said of the whole, p:sp + 8, and further on
//!                               of what follows, *p:0x87ff3000
//!  kalloc  kalloc+0x1c          a symbol;  .text  UART0  "heap counter"   a region, a device
//!  sp  satp  hart1.sp           a register, of the hart being looked at or of another
//!  heap  heap.next  root        the heap, the root table
//!  l0[499]  root[2]             an entry of a table on the way that is selected
//!  *x  [x]                      the word that lies there, if this moment holds it
//!  pa(x)  page(x)  ppn(x)  frame(x)     translated; its page; its page number; the frame in an entry
//!  + - * << >> & |  ( )         as in C; nothing wraps
//! ```
//!
//! A name wins over a number: `dead` is a symbol where there is one, and 0xdead where there is none.

mod complete;
mod describe;
mod here;
mod names;
mod parser;

use std::ops::Range;

use pagescope_protocol::snapshot::{RegionSpace, Snapshot, Space};
use pagescope_protocol::{Level, PhysAddr, PhysPage, VirtAddr};

pub use complete::{Completion, Completions, complete};
pub use describe::{Meaning, describe};

use super::{Selection, Stretch, Symbols};

/// Longest text that is looked at, in bytes.
pub const MAX_TEXT: usize = 256;

/// What names mean.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The moment.
    pub snapshot: &'a Snapshot,
    /// The space being looked at.
    pub space: Option<&'a Space>,
    /// The hart being looked at.
    pub hart: u32,
    /// The names in the guest's ELF.
    pub symbols: &'a Symbols,
    /// The tables on the way that is selected, for `l0[…]`.
    pub tables: &'a [(Level, PhysPage)],
}

/// What a number is the address of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing in particular: it is looked up as a virtual address.
    Number,
    /// A virtual address.
    Virtual,
    /// A physical address.
    Physical,
}

/// What an expression comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// The number.
    pub bits: u64,
    /// What it is the address of.
    pub kind: Kind,
    /// The thing that was named, where it is more than an address.
    pub target: Option<Selection>,
}

impl Value {
    const fn new(bits: u64, kind: Kind) -> Self {
        Self {
            bits,
            kind,
            target: None,
        }
    }

    const fn stretch(stretch: Stretch) -> Self {
        Self {
            bits: stretch.start,
            kind: match stretch.space {
                RegionSpace::Virtual => Kind::Virtual,
                RegionSpace::Physical => Kind::Physical,
            },
            target: Some(Selection::Range(stretch)),
        }
    }

    /// The same number as an address of this kind; what was named stays where it is of that kind already.
    fn as_kind(self, kind: Kind) -> Self {
        match self.kind == kind {
            true => self,
            false => Self::new(self.bits, kind),
        }
    }

    /// What it selects.
    pub const fn selection(&self) -> Selection {
        match (self.target, self.kind) {
            (Some(target), _) => target,
            (None, Kind::Physical) => Selection::Physical(PhysAddr::new(self.bits)),
            (None, Kind::Number | Kind::Virtual) => Selection::Virtual(VirtAddr::new(self.bits)),
        }
    }
}

/// Why a text means nothing, and what to type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct ExpressionError {
    /// The part of the text that is to blame, in bytes.
    pub at: Range<usize>,
    /// What is wrong, and what can be typed.
    pub what: String,
}

/// What `text` means.
///
/// # Errors
/// [`ExpressionError`] names the place and what can be typed there.
pub fn evaluate(text: &str, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
    let value = parser::parse(text, scope)?;
    let is_physical = value.kind == Kind::Physical && value.target.is_none();
    if is_physical && PhysAddr::new(value.bits).page().is_none() {
        return Err(ExpressionError {
            at: 0..text.len(),
            what: format!(
                "{:#x} has more than the 56 bits of a physical address",
                value.bits
            ),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
