use super::*;
use pagescope_protocol::{LeafFlags, PhysPage, TranslationMode};
use proptest::prelude::*;
use std::collections::HashMap;

/// RAM at 0x80000000, 128 MiB of which the first 2 MiB are read-only; what was not written is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ram {
    bytes: HashMap<u64, u8>,
}

impl Ram {
    pub(crate) fn new() -> Self {
        Self {
            bytes: HashMap::new(),
        }
    }

    pub(crate) fn store(&mut self, to: u64, word: u64) {
        self.write(PhysAddr::new(to), &word.to_le_bytes());
    }
}

fn ram() -> PhysRange {
    PhysRange::new(PhysAddr::new(0x8000_0000), 128 << 20).unwrap()
}

impl Physical for Ram {
    fn is_readable(&self, range: PhysRange) -> bool {
        ram().contains_range(range)
    }

    fn is_writable(&self, range: PhysRange) -> bool {
        self.is_readable(range) && range.start().as_u64() >= 0x8020_0000
    }

    fn read(&self, from: PhysAddr, bytes: &mut [u8]) {
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let place = from.as_u64() + offset as u64;
            *byte = self.bytes.get(&place).copied().unwrap_or(0);
        }
    }

    fn write(&mut self, to: PhysAddr, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            let place = to.as_u64() + offset as u64;
            // Zeros are kept apart from nothing: memory is equal if its bytes are.
            match byte {
                0 => self.bytes.remove(&place),
                byte => self.bytes.insert(place, *byte),
            };
        }
    }
}

fn page(number: u64) -> PhysPage {
    PhysPage::new(number).unwrap()
}

/// Sv39: 0x1000 leads to 0x80301000, 0x2000 to 0x80300000, 0x3000 to the UART; 0x4000 to nothing.
pub(crate) fn mapped() -> (Ram, Satp) {
    let mut ram = Ram::new();
    let flags = LeafFlags::VALID | LeafFlags::READ | LeafFlags::WRITE;
    ram.store(0x8040_0000, Pte::pointer(page(0x80401)).bits());
    ram.store(0x8040_1000, Pte::pointer(page(0x80402)).bits());
    ram.store(0x8040_2008, Pte::leaf(page(0x80301), flags).bits());
    ram.store(0x8040_2010, Pte::leaf(page(0x80300), flags).bits());
    ram.store(0x8040_2018, Pte::leaf(page(0x10000), flags).bits());
    (ram, Satp::new(TranslationMode::Sv39, 0, page(0x80400)))
}

#[test]
fn a_read_goes_over_pages_as_they_are_mapped_and_as_far_as_they_are() {
    let (mut ram, satp) = mapped();
    ram.write(PhysAddr::new(0x8030_1ffe), &[1, 2]);
    ram.write(PhysAddr::new(0x8030_0000), &[3, 4]);
    let view = View::Translated(satp);
    let mut bytes = [9; 4];
    assert_eq!(view.read(&ram, 0x1ffe, &mut bytes), 4);
    assert_eq!(bytes, [1, 2, 3, 4]);
    // The page behind is the UART's.
    assert_eq!(view.read(&ram, 0x2ffe, &mut bytes), 2);
    assert_eq!(view.read(&ram, 0x3000, &mut bytes), 0);
    assert_eq!(view.read(&ram, 0x4000, &mut bytes), 0);
    assert_eq!(view.halfword(&ram, 0x1ffe), Some(0x0201));
    assert_eq!(view.halfword(&ram, 0x2fff), None);
}

#[test]
fn a_write_is_whole_or_not_at_all() {
    let (mut ram, satp) = mapped();
    let view = View::Translated(satp);
    let before = ram.clone();
    for address in [0x2ffe, 0x3000, 0x4000, u64::MAX - 1] {
        assert!(!view.write(&mut ram, address, &[1, 2, 3, 4]));
        assert_eq!(ram, before);
    }
    assert!(view.write(&mut ram, 0x1ffe, &[1, 2, 3, 4]));
    let mut bytes = [0; 2];
    ram.read(PhysAddr::new(0x8030_0000), &mut bytes);
    assert_eq!(bytes, [3, 4]);
    assert!(view.write(&mut ram, 0x4000, &[]));
}

#[test]
fn only_ram_is_reached_physically() {
    let mut ram = Ram::new();
    let mut bytes = [0; 8];
    let view = View::Physical;
    for address in [0, 0x1000_0000, 0x8800_0000, u64::MAX - 3] {
        assert_eq!(view.read(&ram, address, &mut bytes), 0);
        assert!(!view.write(&mut ram, address, &bytes));
    }
    // RAM's end is a page's end: a read goes as far as there is RAM, a write is not begun.
    assert_eq!(view.read(&ram, 0x87ff_fffc, &mut bytes), 4);
    assert!(!view.write(&mut ram, 0x87ff_fffc, &bytes));
    assert_eq!(view.read(&ram, 0x8000_0000, &mut bytes), 8);
    assert!(!view.write(&mut ram, 0x8000_0000, &bytes));
    assert!(view.write(&mut ram, 0x8020_0000, &bytes));
}

proptest! {
    #[test]
    fn tables_of_any_kind_are_survived(words: [u64; 8], satp: u64, address: u64) {
        let mut ram = Ram::new();
        for (index, word) in words.into_iter().enumerate() {
            ram.store(0x8040_0000 + 8 * index as u64, word);
        }
        for satp in [satp, 8 << 60 | 0x80400] {
            let view = View::Translated(Satp::from_bits(satp));
            let mut bytes = [0; 64];
            let read = view.read(&ram, address, &mut bytes);
            prop_assert!(read <= 64);
            view.write(&mut ram, address & 0xfff, &bytes);
        }
    }
}
