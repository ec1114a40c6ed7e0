use super::*;
use crate::board::{MACHINE_RAM, RAM};
use crate::model::sections;
use pagescope_protocol::info::name;
use proptest::prelude::*;

fn header() -> BootHeader {
    let empty = BootSection {
        start: 0,
        end: 0,
        load: 0,
        flags: 0,
        kind: 0,
        name: [0; 24],
    };
    let mut all = [empty; MAX_SECTIONS];
    all[..6].copy_from_slice(&sections());
    BootHeader {
        magic: BOOT_MAGIC,
        version: BOOT_VERSION,
        layout: name("pseudos"),
        paging: paging::BUILT,
        entry: 0x8020_0400,
        info: 0x8020_7000,
        hand_off: 0x8020_8000,
        reserve: 0x8020_9000,
        section_count: 6,
        sections: all,
        services: Services {
            kalloc: 0x8020_0500,
            kalloc_done: 0x8020_0510,
            busy: 0x8020_7008,
        },
    }
}

fn supervisor_ram() -> PhysRange {
    PhysRange::from_bounds(MACHINE_RAM.end(), RAM.end()).unwrap()
}

#[test]
fn a_sound_header_is_believed() {
    assert_eq!(header().check(supervisor_ram()), Ok(()));
    assert_eq!(header().layout(), "pseudos");
    assert_eq!(header().image_end(), Some(PhysAddr::new(0x8022_1000)));
    assert_eq!(header().sections()[4].leaf_flags(), None);
}

#[test]
fn an_untranslated_start_is_by_a_physical_entry() {
    let mut high = header();
    let offset = 0xffff_ffbf_8000_0000_u64;
    for section in &mut high.sections[..6] {
        section.start = section.start.wrapping_add(offset);
        section.end = section.end.wrapping_add(offset);
    }
    high.services = Services {
        kalloc: 0,
        kalloc_done: 0,
        busy: 0,
    };
    high.reserve = 0;
    let entry = high.entry;
    assert_eq!(
        high.check(supervisor_ram()),
        Err(HeaderError::Entry(VirtAddr::new(entry)))
    );
    high.paging = paging::BARE;
    assert_eq!(high.check(supervisor_ram()), Ok(()));
    assert_eq!(high.image_end(), Some(PhysAddr::new(0x8022_1000)));
    high.entry = entry.wrapping_add(offset);
    assert!(matches!(
        high.check(supervisor_ram()),
        Err(HeaderError::Entry(_))
    ));
}

#[test]
fn each_thing_that_is_wrong_is_named() {
    type Break = fn(&mut BootHeader);
    let cases: [(Break, HeaderError); 12] = [
        (|h| h.paging = 2, HeaderError::Paging(2)),
        (|h| h.magic = 7, HeaderError::Magic(7)),
        (|h| h.version = 9, HeaderError::Version(9)),
        (|h| h.section_count = 9, HeaderError::SectionCount(9)),
        (
            |h| h.sections[1].start += 1,
            HeaderError::Section(1, 0x8020_5001, 0x8020_7000),
        ),
        (
            |h| h.sections[0].load = 0x8000_0000,
            HeaderError::Section(0, 0x8020_0000, 0x8020_5000),
        ),
        (
            |h| h.sections[2].start = 0x8020_6000,
            HeaderError::Section(2, 0x8020_6000, 0x8020_9000),
        ),
        (
            |h| h.sections[3].flags = 0x100,
            HeaderError::Flags(3, 0x100),
        ),
        (
            |h| h.entry = 0x8020_7000,
            HeaderError::Entry(VirtAddr::new(0x8020_7000)),
        ),
        (
            |h| h.hand_off = 0x8020_fff8,
            HeaderError::Target(PhysAddr::new(0x8020_fff8)),
        ),
        (
            |h| h.services.kalloc = 0x8020_7000,
            HeaderError::Service(VirtAddr::new(0x8020_7000)),
        ),
        (
            |h| h.services.busy = 0x8020_0500,
            HeaderError::Service(VirtAddr::new(0x8020_0500)),
        ),
    ];
    for (spoil, error) in cases {
        let mut header = header();
        spoil(&mut header);
        assert_eq!(header.check(supervisor_ram()), Err(error));
    }
}

#[test]
fn a_program_need_not_offer_services() {
    let mut header = header();
    header.services = Services {
        kalloc: 0,
        kalloc_done: 0,
        busy: 0,
    };
    assert_eq!(header.check(supervisor_ram()), Ok(()));
}

#[test]
fn bootargs_are_kept_or_refused() {
    let mut hand_off = HandOff::EMPTY;
    assert!(hand_off.set_bootargs("pace=5"));
    assert_eq!(hand_off.bootargs(), "pace=5");
    assert!(!hand_off.set_bootargs(&"x".repeat(BOOTARGS_SIZE + 1)));
    hand_off.bootargs_size = u64::MAX;
    assert!(hand_off.bootargs().starts_with("pace=5"));
}

proptest! {
    #[test]
    fn checking_never_panics(word in 0usize..70, value: u64) {
        let mut header = header();
        let section = &mut header.sections[word % MAX_SECTIONS];
        match word / MAX_SECTIONS {
            0 => section.start = value,
            1 => section.end = value,
            2 => section.load = value,
            3 => section.flags = value,
            4 => header.entry = value,
            5 => header.info = value,
            6 => header.hand_off = value,
            _ => header.section_count = value,
        }
        let _ = header.check(supervisor_ram());
        let _ = header.image_end();
    }
}
