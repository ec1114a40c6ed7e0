use super::*;
use crate::debug::view::tests::{Ram, mapped};
use pagescope_protocol::info::{INFO_MAGIC, INFO_VERSION, name};
use proptest::prelude::*;
use std::string::String;

fn said(say: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    say(&mut text).unwrap();
    text
}

#[test]
fn commands_are_read_or_refused() {
    for (text, command) in [
        ("help", Command::Help),
        ("", Command::Help),
        ("  heap ", Command::Heap),
        ("layout", Command::Layout),
        ("regions", Command::Regions),
        ("spaces", Command::Spaces),
        ("tables", Command::Tables),
        ("translate 0x80200000", Command::Translate(0x8020_0000)),
        (
            "translate ffffffc000000000",
            Command::Translate(0xffff_ffc0_0000_0000),
        ),
        ("translate", Command::Unknown),
        ("translate 0x", Command::Unknown),
        ("translate 0x12345678901234567", Command::Unknown),
        ("physical", Command::Physical(None)),
        ("physical on", Command::Physical(Some(true))),
        ("physical off", Command::Physical(Some(false))),
        ("physical maybe", Command::Unknown),
        ("heap on", Command::Unknown),
        ("quit", Command::Unknown),
    ] {
        assert_eq!(Command::parse(text.as_bytes()), command, "{text}");
    }
    assert_eq!(Command::parse(b"\xff\xfe"), Command::Help);
}

#[test]
fn tables_are_listed_once_each() {
    let (mut ram, satp) = mapped();
    let text = said(|out| tables(out, &ram, satp));
    assert_eq!(
        text,
        "L2 0x80400000  from 0x00000000    1 entries used\n\
         L1 0x80401000  from 0x00000000    1 entries used\n\
         L0 0x80402000  from 0x00000000    3 entries used\n\
         3 tables\n"
    );
    // A root that points to itself, and one that points out of RAM.
    ram.store(0x8040_0008, Pte::pointer(satp.root()).bits());
    ram.store(
        0x8040_0010,
        Pte::pointer(PhysPage::from_truncated(0x10000)).bits(),
    );
    let text = said(|out| tables(out, &ram, satp));
    assert!(
        text.contains("L1 0x80400000  from 0x40000000    3 entries used\n"),
        "{text}"
    );
    assert!(text.contains("L0 0x80401000  from 0x40000000"), "{text}");
    assert!(
        text.contains("L1 0x10000000  from 0x80000000  is not in RAM\n"),
        "{text}"
    );
    let text = said(|out| tables(out, &ram, Satp::from_bits(0)));
    assert!(text.contains("no tables"), "{text}");
}

#[test]
fn a_translation_shows_every_step() {
    let (ram, satp) = mapped();
    let text = said(|out| translation(out, &ram, satp, 0x1234));
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(
        text.ends_with("0x00001234 -> 0x80301234 rw-----\n"),
        "{text}"
    );
    let text = said(|out| translation(out, &ram, satp, 0x4000));
    assert!(text.contains("the L0 entry is invalid"), "{text}");
    let text = said(|out| translation(out, &ram, satp, 1 << 40));
    assert!(text.contains("not a canonical"), "{text}");
}

#[test]
fn the_block_is_believed_only_where_it_can_be() {
    let mut ram = Ram::new();
    let at = PhysAddr::new(0x8030_0000);
    for say in [heap, layout, regions, spaces] {
        let text = said(|out| say(out, &ram, at));
        assert!(text.contains("no information block here"), "{text}");
        let text = said(|out| say(out, &ram, PhysAddr::new(0)));
        assert!(text.contains("0 bytes are too few"), "{text}");
    }
    let mut put = |offset: usize, word| ram.store(at.as_u64() + offset as u64, word);
    put(core::mem::offset_of!(InfoBlock, magic), INFO_MAGIC);
    put(core::mem::offset_of!(InfoBlock, version), INFO_VERSION);
    put(
        core::mem::offset_of!(InfoBlock, size),
        InfoBlock::SIZE as u64,
    );
    put(core::mem::offset_of!(InfoBlock, heap_counter), 0x8031_0000);
    put(core::mem::offset_of!(InfoBlock, regions), 0x8032_0000);
    put(core::mem::offset_of!(InfoBlock, region_count), 2);
    put(0x1_0000, 42);
    put(0x2_0000, 0x8020_0000);
    put(0x2_0008, 0x1000);
    put(0x2_0018, region_kind::TEXT);
    let name_offset = core::mem::offset_of!(Region, name) as u64;
    ram.write(PhysAddr::new(0x8032_0000 + name_offset), &name(".text"));
    let text = said(|out| heap(out, &ram, at));
    assert!(
        text.starts_with("heap counter 42 at 0x80310000\n"),
        "{text}"
    );
    let text = said(|out| regions(out, &ram, at));
    assert!(
        text.starts_with(
            "0x0000000080200000 to 0x0000000080201000  physical  text          .text\n"
        ),
        "{text}"
    );
    ram.store(0x8032_0020, 7);
    let text = said(|out| regions(out, &ram, at));
    assert!(
        text.starts_with(
            "0x0000000080200000 to 0x0000000080201000  physical  text          .text  (space 7)\n"
        ),
        "{text}"
    );
    let offset = |offset: usize| at.as_u64() + offset as u64;
    ram.store(
        offset(core::mem::offset_of!(InfoBlock, spaces)),
        0x8033_0000,
    );
    ram.store(offset(core::mem::offset_of!(InfoBlock, space_count)), 1);
    ram.store(0x8033_0000, 7);
    ram.store(0x8033_0008, 8 << 60 | 3 << 44 | 0x8_7ffc);
    ram.write(PhysAddr::new(0x8033_0020), &name("hart 2"));
    let text = said(|out| spaces(out, &ram, at));
    assert_eq!(
        text,
        "  7  hart 2                    Sv39, ASID 3, root 0x87ffc000\n"
    );
    // A counter that is no memory, and regions that are not.
    ram.store(
        at.as_u64() + core::mem::offset_of!(InfoBlock, heap_counter) as u64,
        0x1000_0000,
    );
    ram.store(
        at.as_u64() + core::mem::offset_of!(InfoBlock, regions) as u64,
        u64::MAX - 7,
    );
    let text = said(|out| heap(out, &ram, at));
    assert!(
        text.starts_with("heap counter unreadable at 0x10000000\n"),
        "{text}"
    );
    let text = said(|out| regions(out, &ram, at));
    assert!(
        text.starts_with("region 0 at 0xfffffffffffffff8 cannot be read\n"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_survived(text: std::vec::Vec<u8>) {
        let _ = Command::parse(&text);
    }
}
