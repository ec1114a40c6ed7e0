//! Dumps written by hand: whole ones, and such as nobody should write.

use std::fs;

use pagescope_protocol::TranslationMode;
use proptest::prelude::*;

use super::*;

const RAM: u64 = 0x8000_0000;

/// A program header: type, offset, physical address, bytes in the file.
type Header = (u32, u64, u64, u64);

/// An ELF64 core with these headers; its body begins at byte 0x1000.
fn elf(headers: &[Header], body: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([4, 0, 243, 0, 1, 0, 0, 0]);
    for word in [0u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0]);
    file.extend((headers.len() as u16).to_le_bytes());
    file.extend([64, 0, 0, 0, 0, 0]);
    for (kind, offset, start, size) in headers {
        file.extend(kind.to_le_bytes());
        file.extend(7u32.to_le_bytes());
        for word in [*offset, 0xffff_0000, *start, *size, *size, 0] {
            file.extend(word.to_le_bytes());
        }
    }
    file.resize(0x1000, 0);
    file.extend(body);
    file
}

/// A note as QEMU writes one for a hart: pc and x1 are these.
fn status(pc: u64, ra: u64) -> Vec<u8> {
    let mut note: Vec<u8> = [5u32, 376, 1]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    note.extend(b"CORE\0\0\0\0");
    let mut description = vec![0; 376];
    description[112..120].copy_from_slice(&pc.to_le_bytes());
    description[120..128].copy_from_slice(&ra.to_le_bytes());
    note.extend(description);
    note
}

fn open(bytes: &[u8], options: impl FnOnce(&mut DumpOptions)) -> Result<DumpTarget, LinkError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let mut asked = DumpOptions {
        path: file.path().to_owned(),
        ram_base: None,
        satps: Vec::new(),
    };
    options(&mut asked);
    DumpTarget::open(&asked)
}

fn range(start: u64, size: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(start), size).unwrap()
}

fn first_byte(target: &mut DumpTarget, at: u64) -> Option<u8> {
    let read = target.read_physical(&[range(at, 1)]).unwrap();
    read[0].as_ref().map(|bytes| bytes[0])
}

#[test]
fn a_dump_has_its_harts_and_its_memory() {
    let notes = [status(RAM + 4, 7), status(RAM + 8, 9)].concat();
    let mut body = notes.clone();
    body.resize(0x1000, 0);
    body.extend([1; 0x1000]);
    body.extend([2; 0x1000]);
    let headers = [
        (4, 0x1000, 0, notes.len() as u64),
        // The higher one first, as `-p` may have it.
        (1, 0x3000, RAM + 0x1000, 0x1000),
        (1, 0x2000, RAM, 0x1000),
    ];
    let satp = (8 << 60) | 0x8_0001;
    let mut target = open(&elf(&headers, &body), |options| options.satps = vec![satp]).unwrap();
    assert_eq!(target.harts().unwrap(), [HartId::new(0), HartId::new(1)]);
    let first = target.registers(HartId::new(0)).unwrap();
    assert_eq!((first.pc, first.get("ra")), (Some(RAM + 4), Some(7)));
    assert_eq!(first.satp.unwrap().mode(), TranslationMode::Sv39);
    let second = target.registers(HartId::new(1)).unwrap();
    assert_eq!(
        (second.pc, second.x[1], second.satp),
        (Some(RAM + 8), Some(9), None)
    );
    assert!(target.registers(HartId::new(2)).is_err());
    assert_eq!(target.known_ram().unwrap(), [range(RAM, 0x2000)]);
    assert_eq!(first_byte(&mut target, RAM + 0xfff), Some(1));
    assert_eq!(first_byte(&mut target, RAM + 0x1000), Some(2));
    assert_eq!(first_byte(&mut target, RAM + 0x2000), None);
    let frames = [0x8_0001, 0x8_0002].map(PhysPage::from_truncated);
    let frames = target.read_frames(&frames).unwrap();
    assert_eq!(frames[0].as_ref().unwrap()[511], 0x0202_0202_0202_0202);
    assert_eq!(frames[1], None);
}

#[test]
fn a_dump_does_not_run() {
    let mut target = open(&elf(&[(1, 0x1000, RAM, 8)], &[0; 8]), |_| {}).unwrap();
    for refused in [
        target.resume(),
        target.step(HartId::new(0)),
        target.set_breakpoint(VirtAddr::new(RAM)),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("core dump"), "{error}");
    }
    assert!(!target.is_running());
    assert_eq!(target.monitor("info mtree -f").unwrap(), None);
    assert!(target.choose_way(PhysicalAccess::GdbPort).is_err());
}

#[test]
fn a_raw_image_lies_where_it_is_said_to() {
    let image = [5; 0x1000];
    let mut target = open(&image, |_| {}).unwrap();
    assert_eq!(first_byte(&mut target, RAM), Some(5));
    assert_eq!(
        target.facts().stub,
        Stub::Dump {
            kind: "raw RAM image"
        }
    );
    let base = PhysAddr::new(0x4000_0000);
    let mut target = open(&image, |options| {
        options.ram_base = Some(base);
        options.satps = vec![8 << 60, 0];
    })
    .unwrap();
    assert_eq!(first_byte(&mut target, 0x4000_0fff), Some(5));
    assert_eq!(first_byte(&mut target, RAM), None);
    assert_eq!(target.harts().unwrap().len(), 2);
    let mut short = open(&image, |options| options.satps = vec![1 << 31]).unwrap();
    let satp = short.registers(HartId::new(0)).unwrap().satp.unwrap();
    assert_eq!(satp.mode(), TranslationMode::Sv32);
    let too_high = open(&image, |options| {
        options.ram_base = Some(PhysAddr::new(u64::MAX))
    });
    assert!(too_high.is_err());
    assert!(open(&[], |_| {}).is_err());
}

#[test]
fn what_is_wrong_is_named() {
    let program = {
        let mut elf = elf(&[], &[]);
        elf[16] = 2;
        elf
    };
    let arm = {
        let mut elf = elf(&[], &[]);
        elf[18] = 183;
        elf
    };
    for (bytes, word) in [
        (program, "no core"),
        (arm, "another architecture"),
        (b"KDUMP   \x06".to_vec(), "compressed"),
        (b"makedumpfile\0\0\0".to_vec(), "compressed"),
        (b"\x1f\x8b\x08".to_vec(), "compressed"),
        (elf(&[], &[]), "no memory"),
        (elf(&[(1, 0x1000, RAM, 0)], &[]), "no memory"),
        (elf(&[(1, 0x1000, RAM, 9)], &[0; 8]), "cut short"),
        (elf(&[(1, u64::MAX, RAM, 9)], &[0; 8]), "cut short"),
        (elf(&[(4, 0x1000, 0, 9)], &[0; 8]), "cut short"),
        (
            elf(&[(1, 0x1000, RAM, 8)], &[0; 8])[..70].to_vec(),
            "cut short",
        ),
        (
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0".to_vec(),
            "cut short",
        ),
    ] {
        let error = open(&bytes, |_| {}).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn overlaps_and_ends_of_the_address_space_are_survived() {
    let body: Vec<u8> = (0..0x4000).map(|place| (place >> 12) as u8).collect();
    let headers = [
        (1, 0x2000, RAM + 0x1000, 0x1000),
        // Lies under it and reaches out at both ends.
        (1, 0x1000, RAM, 0x3000),
        (1, 0x1000, u64::MAX - 0x10, 0x1000),
        (1, 0x1000, u64::MAX, 1),
        (1, 0x1000, RAM, 0x3000),
    ];
    let mut target = open(&elf(&headers, &body), |_| {}).unwrap();
    assert_eq!(first_byte(&mut target, RAM), Some(0));
    assert_eq!(first_byte(&mut target, RAM + 0x1000), Some(1));
    assert_eq!(first_byte(&mut target, RAM + 0x2000), Some(2));
    assert_eq!(target.known_ram().unwrap()[0], range(RAM, 0x3000));
}

#[test]
fn of_two_that_overlap_the_rest_of_the_second_is_where_it_was() {
    let body: Vec<u8> = (0..0x4000).map(|place| (place >> 12) as u8).collect();
    let headers = [(1, 0x3000, RAM + 0x1000, 0x2000), (1, 0x1000, RAM, 0x2000)];
    let mut target = open(&elf(&headers, &body), |_| {}).unwrap();
    let bytes = [0, 0x1000, 0x2000, 0x3000].map(|at| first_byte(&mut target, RAM + at));
    assert_eq!(bytes, [Some(0), Some(1), Some(3), None]);
}

proptest! {
    #[test]
    fn any_headers_are_survived(
        headers in proptest::collection::vec(
            (prop_oneof![Just(1u32), Just(4), any::<u32>()],
             prop_oneof![0u64..0x3000, any::<u64>()],
             prop_oneof![RAM..RAM + 0x4000, any::<u64>()],
             prop_oneof![0u64..0x2000, any::<u64>()]), 0..12),
        body in proptest::collection::vec(any::<u8>(), 0..0x2000),
    ) {
        if let Ok(mut target) = open(&elf(&headers, &body), |_| {}) {
            let ram = target.known_ram().unwrap();
            for (one, next) in ram.iter().zip(ram.iter().skip(1)) {
                prop_assert!(!one.overlaps(*next) && one.start() < next.start());
            }
            for range in ram {
                let end = range.start().as_u64() + (range.size() - 1);
                prop_assert!(first_byte(&mut target, range.start().as_u64()).is_some());
                prop_assert!(first_byte(&mut target, end).is_some());
            }
        }
    }

    #[test]
    fn any_notes_are_survived(notes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let size = notes.len() as u64;
        let file = elf(&[(4, 0x1000, 0, size), (1, 0x1000, RAM, size.max(1))], &[&notes[..], &[0]].concat());
        let is_open = open(&file, |_| {}).is_ok();
        prop_assert!(is_open);
    }
}
