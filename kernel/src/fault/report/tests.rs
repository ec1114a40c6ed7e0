use super::*;
use core::convert::Infallible;
use pagescope_protocol::translate::translate;
use pagescope_protocol::{PhysPage, Pte, TranslationMode};
use std::string::{String, ToString as _};

/// A translation of `address` in tables whose every root entry is `entry`.
fn translation(address: u64, entry: Pte) -> Translation {
    let address = VirtAddr::new(address);
    let root = PhysPage::from_truncated(1);
    let read = |_| Ok::<_, Infallible>(Some(entry));
    match translate(TranslationMode::Sv39, root, address, read) {
        Ok(translation) => translation,
        Err(never) => match never {},
    }
}

fn leaf(flags: &str) -> Pte {
    let flags = LeafFlags::from_letters(flags).unwrap();
    Pte::leaf(PhysPage::from_truncated(0), flags)
}

fn words(cause: Cause, by_user: bool, address: u64, entry: Pte, region: Option<&str>) -> String {
    let report = FaultReport {
        cause,
        address: VirtAddr::new(address),
        instruction: VirtAddr::new(0x8020_0000),
        by_user,
        region,
        translation: &translation(address, entry),
        sum: false,
    };
    report.to_string()
}

#[test]
fn every_kind_has_its_words() {
    let unmapped = Pte::from_bits(0);
    for (cause, by_user, address, entry, region, expected) in [
        (
            Cause::LOAD_PAGE_FAULT,
            false,
            0,
            unmapped,
            Some("the zero page"),
            "load from 0x00000000 in the zero page: not mapped: the L2 entry is invalid",
        ),
        (
            Cause::STORE_PAGE_FAULT,
            false,
            0x1000,
            leaf("r-x--ad"),
            Some(".text"),
            "store to 0x00001000 in .text: it cannot be written (r-x--ad)",
        ),
        (
            Cause::INSTRUCTION_PAGE_FAULT,
            false,
            0x1000,
            leaf("rw---ad"),
            Some(".data"),
            "execution of 0x00001000 in .data: it cannot be executed (rw---ad)",
        ),
        (
            Cause::LOAD_PAGE_FAULT,
            true,
            0xa000,
            leaf("rw---ad"),
            Some("kernel heap"),
            "load by user code from 0x0000a000 in kernel heap: the kernel's alone (rw---ad)",
        ),
        (
            Cause::LOAD_PAGE_FAULT,
            false,
            0xa000,
            leaf("rw-u-ad"),
            Some("user stack"),
            "load from 0x0000a000 in user stack: a user's page, and sstatus.SUM is 0 (rw-u-ad)",
        ),
        (
            Cause::INSTRUCTION_PAGE_FAULT,
            false,
            0xa000,
            leaf("r-xu-ad"),
            None,
            "execution of 0x0000a000, which is in no region: \
             a user's page, from which the kernel never executes (r-xu-ad)",
        ),
        (
            Cause::LOAD_ACCESS_FAULT,
            false,
            0x8000_0000,
            leaf("rw---ad"),
            Some("machine program"),
            "load from 0x80000000 in machine program: \
             mapped, but physical memory protection or the machine forbids it",
        ),
        (
            Cause::LOAD_PAGE_FAULT,
            false,
            0x80_0000_0000,
            unmapped,
            None,
            "load from 0x8000000000, which is in no region: \
             not a canonical Sv39 address: bits 63..39 must all equal bit 38",
        ),
        (
            Cause::ILLEGAL_INSTRUCTION,
            true,
            0,
            unmapped,
            Some(".text"),
            "illegal instruction by user code at 0x80200000 in .text",
        ),
        (
            Cause::STORE_PAGE_FAULT,
            false,
            0x1000,
            leaf("rw---ad"),
            Some("heap"),
            "store to 0x00001000 in heap: \
             the tables allow it now (rw---ad): a fence is missing",
        ),
    ] {
        assert_eq!(words(cause, by_user, address, entry, region), expected);
    }
}

/// stval of an illegal instruction is the instruction, and of an ecall 0: neither is a place.
#[test]
fn a_trap_about_no_address_is_about_its_instruction() {
    let (address, instruction) = (VirtAddr::new(0x73), VirtAddr::new(0x7f00_0010));
    for (bits, place) in [
        (0, instruction),
        (1, address),
        (2, instruction),
        (3, instruction),
        (4, instruction),
        (5, address),
        (6, instruction),
        (7, address),
        (8, instruction),
        (9, instruction),
        (12, address),
        (13, address),
        (15, address),
        (24, instruction),
        (1 << 63 | 5, instruction),
    ] {
        let cause = Cause::from_bits(bits);
        assert_eq!(place_of(cause, address, instruction), place, "{cause}");
    }
}
