//! The program's own image: what the linker knows of it, and where it lies in RAM.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_protocol::info::name;
use pagescope_protocol::{LeafFlags, PhysAddr};

use crate::handoff::BootSection;

/// A symbol of the linker script: only its address means anything.
#[derive(Debug)]
#[repr(C)]
pub struct Symbol {
    _nothing: [u8; 0],
}

impl Symbol {
    /// Its address.
    pub fn address(&'static self) -> u64 {
        core::ptr::from_ref(self).expose_provenance() as u64
    }
}

/// An address that the linker fills in.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct LinkAddress(pub *const ());

// SAFETY: a number, never dereferenced.
unsafe impl Sync for LinkAddress {}

impl LinkAddress {
    /// Nothing.
    pub const NULL: Self = Self(core::ptr::null());

    /// The address of `place`.
    pub const fn of<T>(place: *const T) -> Self {
        Self(place.cast())
    }
}

/// How constants are mapped.
pub const READ_ONLY: LeafFlags = LeafFlags::VALID.union(LeafFlags::READ);
/// How instructions are mapped.
pub const EXECUTABLE: LeafFlags = READ_ONLY.union(LeafFlags::EXECUTE);
/// How variables are mapped.
pub const WRITABLE: LeafFlags = READ_ONLY.union(LeafFlags::WRITE);
/// How a guard is not mapped.
pub const UNMAPPED: LeafFlags = LeafFlags::empty();

/// A section of the boot header: from `start` up to `end`, loaded at `load`, a symbol whose value is a
/// physical address. `kind` is one of [`region_kind`](pagescope_protocol::info::region_kind).
pub const fn section(
    (start, end, load): (&'static Symbol, &'static Symbol, &'static Symbol),
    flags: LeafFlags,
    kind: u64,
    text: &str,
) -> BootSection<LinkAddress> {
    BootSection {
        start: LinkAddress::of(start),
        end: LinkAddress::of(end),
        load: LinkAddress::of(load),
        flags: flags.bits() as u64,
        kind,
        name: name(text),
    }
}

/// A place of the header's list that is not used.
pub const NO_SECTION: BootSection<LinkAddress> = BootSection {
    start: LinkAddress::NULL,
    end: LinkAddress::NULL,
    load: LinkAddress::NULL,
    flags: 0,
    kind: 0,
    name: [0; 24],
};

/// Virtual minus physical address of everything in the image, wrapping.
static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Says where the image is mapped: `virt` is where `phys` is seen. A program that is mapped where it is
/// loaded has nothing to say.
pub fn set_offset(virt: u64, phys: PhysAddr) {
    OFFSET.store(virt.wrapping_sub(phys.as_u64()), Ordering::Relaxed);
}

/// The physical address of a static variable, or of anything else in the image: not of a stack that
/// lies elsewhere.
pub fn physical<T>(place: *const T) -> PhysAddr {
    let virt = place.expose_provenance() as u64;
    PhysAddr::new(virt.wrapping_sub(OFFSET.load(Ordering::Relaxed)))
}
