//! The reference: the privileged specification's numbered algorithm, step by step.
//!
//! Section "Virtual Address Translation Process"; for a G-stage, section "Guest Physical Address
//! Translation". Svnapot and Svpbmt are there. Access checks of the first stage are left out, since
//! they ask about an access and not about a mapping; what of them decides whether a guest's tables can
//! be read at all is checked.

use super::{Memory, Mode};

/// Why an entry faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Why {
    /// V is clear.
    Invalid,
    /// Bits 60..54.
    HighBits,
    /// W without R.
    WriteOnly,
    /// No level is left below it.
    PointerAtLast,
    /// A pointer with D, A or U.
    PointerFlags,
    /// A pointer with N or PBMT.
    PointerAttributes,
    /// A superpage whose PPN is no multiple of its size.
    Misaligned,
    /// PBMT 3.
    MemoryType,
    /// N with an encoding that is not defined, or not at the last level.
    Napot,
    /// A G-stage's leaf without U: every access counts as one of U-mode.
    NotUser,
    /// It may not be read.
    NotReadable,
}

/// A mapped address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) address: u64,
    pub(crate) page_size: u64,
    /// Bits 7..0 of the leaf, with G of any pointer on the path.
    pub(crate) flags: u64,
    /// The leaf's level.
    pub(crate) level: u32,
}

/// One stage's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Mapped(Found),
    /// Bits above the translated ones are not what they must be.
    BadAddress,
    /// The entry at this level faults, for any of these reasons.
    Fault(u32, Vec<Why>),
    /// No memory answers where this level's entry should be.
    Unreadable(u32, u64),
}

/// What an access wants; `Map` asks for the mapping alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Map,
    Load,
}

/// Translates `address` in the tables at `root`.
pub(crate) fn look_up(
    mode: &Mode,
    root: u64,
    address: u64,
    access: Access,
    read: &mut impl FnMut(u64, u64) -> Option<u64>,
) -> Answer {
    if (mode.is_g_stage() || !mode.is_rv32()) && mode.address(address) != address {
        return Answer::BadAddress;
    }
    // 1. Let a be satp.ppn × PAGESIZE, and let i = LEVELS − 1.
    let mut a = root;
    let mut i = mode.levels - 1;
    let mut global = 0;
    loop {
        // 2. Let pte be the value of the PTE at address a + va.vpn[i] × PTESIZE.
        let at = a + mode.index(i, address) * mode.entry_bytes;
        let Some(pte) = read(at, mode.entry_bytes) else {
            return Answer::Unreadable(i, at);
        };
        // 3. If pte.v = 0, or if pte.r = 0 and pte.w = 1, or if any bits or encodings that are
        //    reserved for future standard use are set, stop and raise a page-fault exception.
        if pte & 1 == 0 {
            return Answer::Fault(i, vec![Why::Invalid]);
        }
        let (r, w, x) = (pte >> 1 & 1, pte >> 2 & 1, pte >> 3 & 1);
        let ppn = pte >> 10 & ((1 << mode.ppn_bits) - 1);
        let (n, pbmt, high) = match mode.is_rv32() {
            true => (0, 0, 0),
            false => (pte >> 63, pte >> 61 & 3, pte >> 54 & 0x7f),
        };
        let mut why = Vec::new();
        if r == 0 && w == 1 {
            why.push(Why::WriteOnly);
        }
        if high != 0 {
            why.push(Why::HighBits);
        }
        // 4. Otherwise, the PTE is valid. If pte.r = 1 or pte.x = 1, go to step 5. Otherwise, this PTE
        //    is a pointer to the next level: let i = i − 1. If i < 0, page fault.
        if r == 0 && x == 0 {
            if w == 0 {
                if pte >> 4 & 1 != 0 || pte >> 6 & 3 != 0 {
                    why.push(Why::PointerFlags);
                }
                if n != 0 || pbmt != 0 {
                    why.push(Why::PointerAttributes);
                }
                if i == 0 {
                    why.push(Why::PointerAtLast);
                }
            }
            if !why.is_empty() {
                return Answer::Fault(i, why);
            }
            global |= pte & 0x20;
            a = ppn << 12;
            i -= 1;
            continue;
        }
        // 5. A leaf. If i > 0 and pte.ppn[i−1:0] ≠ 0, this is a misaligned superpage: page fault.
        let pages = mode.page_size(i) >> 12;
        if !ppn.is_multiple_of(pages) {
            why.push(Why::Misaligned);
        }
        if pbmt == 3 {
            why.push(Why::MemoryType);
        }
        if n != 0 && (i != 0 || ppn & 0xf != 0b1000) {
            why.push(Why::Napot);
        }
        if !why.is_empty() {
            return Answer::Fault(i, why);
        }
        // 6, 7. What may be done is another question, but for two cases in a G-stage: every access
        //       counts as one from U-mode, and a first stage's entry is read by an implicit load.
        if mode.is_g_stage() && pte >> 4 & 1 == 0 {
            return Answer::Fault(i, vec![Why::NotUser]);
        }
        if access == Access::Load && r == 0 {
            return Answer::Fault(i, vec![Why::NotReadable]);
        }
        // 10. The translation is successful: pa.pgoff = va.pgoff, low PPN parts of a superpage come
        //     from the address, and so do a NAPOT group's low four bits.
        let page_size = if n != 0 { 64 << 10 } else { mode.page_size(i) };
        return Answer::Mapped(Found {
            address: (ppn << 12 & !(page_size - 1)) | (address & (page_size - 1)),
            page_size,
            flags: (pte & 0xff) | global,
            level: i,
        });
    }
}

/// On whose behalf the G-stage is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum GAccess {
    /// To read the first stage's entry at this level.
    EntryAt(u32),
    /// For the address that the first stage gave.
    Final,
}

/// Two stages' answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BothAnswer {
    Mapped {
        first: Found,
        second: Found,
    },
    /// The first stage itself faults.
    First(Answer),
    /// The G-stage does, for this access to this guest-physical address.
    Second(GAccess, u64, Answer),
}

/// Translates `address` through `first`, whose tables are read through `second`, and the result again
/// through `second`.
pub(crate) fn look_up_both(
    first: (&Mode, u64),
    second: (&Mode, u64),
    address: u64,
    memory: &impl Memory,
) -> BothAnswer {
    let mut host = |at, bytes| memory.read(at, bytes);
    let mut stopped = None;
    let mut level = first.0.levels;
    let answer = look_up(first.0, first.1, address, Access::Map, &mut |at, bytes| {
        level -= 1;
        match look_up(second.0, second.1, at, Access::Load, &mut host) {
            Answer::Mapped(found) => match memory.read(found.address, bytes) {
                Some(entry) => Some(entry),
                None => {
                    stopped = Some(BothAnswer::First(Answer::Unreadable(level, found.address)));
                    None
                }
            },
            refused => {
                stopped = Some(BothAnswer::Second(GAccess::EntryAt(level), at, refused));
                None
            }
        }
    });
    if let Some(stopped) = stopped {
        return stopped;
    }
    let found = match answer {
        Answer::Mapped(found) => found,
        other => return BothAnswer::First(other),
    };
    match look_up(second.0, second.1, found.address, Access::Map, &mut host) {
        Answer::Mapped(again) => BothAnswer::Mapped {
            first: found,
            second: again,
        },
        refused => BothAnswer::Second(GAccess::Final, found.address, refused),
    }
}
