//! A mapped file that may be cut while it is read.
//!
//! Reading a mapped page that its file does not have any more is a signal, SIGBUS, which ends the program;
//! so does reading a hole of a file in `/dev/shm` when that is full. Neither is ours to prevent: the file
//! belongs to the guest's QEMU, or to whoever writes a new dump over the old one.
//!
//! ```text
//!  copy ──load──▶ page gone ──SIGBUS──▶ handler: is the address in a map of ours?
//!    ▲                                    yes: zeros are mapped over the whole map, and it is marked lost
//!    └──────── goes on, reads zeros ◀─────┘    no: the signal is left to what handled it before
//!  then: lost? the copy is thrown away, and the file is read with pread from here on, which can say "no"
//! ```
//!
//! A file that is cut in the middle of a page has zeros in the rest of that page: the system says no more.
//!
//! A guest writes while we copy. So every word is loaded as an atomic: no data race, and an entry of a page
//! table is never half an old and half a new one.

use std::fs::File;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::ptr;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use pagescope_protocol::PAGE_SIZE;
use pagescope_protocol::walk::TableWords;

use super::words_of;

/// Most maps at once. Where there are more, the others are read with `pread`.
const MAX_MAPS: usize = 64;

/// A map that the handler knows.
struct Slot {
    /// The address of its first page; 0 where no map has the slot.
    start: AtomicUsize,
    /// Its bytes from there on; 0 where the slot is free.
    size: AtomicUsize,
    /// Whether zeros lie over it.
    is_lost: AtomicBool,
}

static SLOTS: [Slot; MAX_MAPS] = [const {
    Slot {
        start: AtomicUsize::new(0),
        size: AtomicUsize::new(0),
        is_lost: AtomicBool::new(false),
    }
}; MAX_MAPS];

/// What handled SIGBUS before us; set once, before our handler is.
static BEFORE: AtomicUsize = AtomicUsize::new(0);

/// Part of a file, mapped where it can be.
#[derive(Debug)]
pub struct GuardedMap {
    file: File,
    /// Where in the file it begins, in bytes.
    offset: u64,
    size: u64,
    map: Option<Map>,
}

#[derive(Debug)]
struct Map {
    raw: MmapRaw,
    slot: usize,
}

impl GuardedMap {
    /// `size` bytes of `file` from `offset` on. What cannot be mapped is read with `pread`.
    pub fn new(file: File, offset: u64, size: u64) -> Self {
        let map = Map::new(&file, offset, size);
        Self {
            file,
            offset,
            size,
            map,
        }
    }

    /// Its bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is mapped still; else it is read with `pread`.
    pub fn is_mapped(&self) -> bool {
        self.map.as_ref().is_some_and(|map| !map.is_lost())
    }

    /// Copies `size` bytes from `at` on; `None` where the file does not have them.
    pub fn copy(&self, at: u64, size: u64) -> Option<Vec<u8>> {
        let start = self.place(at, size)?;
        let size = usize::try_from(size).ok()?;
        if let Some(map) = self.map.as_ref().filter(|map| !map.is_lost()) {
            let mut bytes = vec![0; size];
            // SAFETY: `place` has checked that these bytes are in the map.
            unsafe { copy_bytes(map.raw.as_ptr().add(start), &mut bytes) };
            if !map.is_lost() {
                return Some(bytes);
            }
        }
        let mut bytes = vec![0; size];
        let read = self.file.read_exact_at(&mut bytes, self.offset + at);
        read.is_ok().then_some(bytes)
    }

    /// Copies the 4096 bytes from `at` on as words; `None` where the file does not have them.
    pub fn copy_frame(&self, at: u64) -> Option<Arc<TableWords>> {
        if let Some((map, words)) = self.frame(at) {
            // Collected where it stays.
            let words: Arc<[u64]> = words
                .iter()
                .map(|word| u64::from_le(word.load(Ordering::Relaxed)))
                .collect();
            if !map.is_lost() {
                return words.try_into().ok();
            }
        }
        words_of(&self.copy(at, PAGE_SIZE)?)
    }

    /// Whether the map holds these words from `at` on; `false` as well where it cannot be told without a copy.
    pub fn holds(&self, at: u64, known: &TableWords) -> bool {
        let Some((map, words)) = self.frame(at) else {
            return false;
        };
        let mut both = words.iter().zip(known);
        let is_same =
            both.all(|(word, known)| u64::from_le(word.load(Ordering::Relaxed)) == *known);
        is_same && !map.is_lost()
    }

    /// The map, and the words of the frame that begins at `at` in it.
    fn frame(&self, at: u64) -> Option<(&Map, &[AtomicU64; 512])> {
        let start = self.place(at, PAGE_SIZE)?;
        let map = self.map.as_ref().filter(|map| !map.is_lost())?;
        let words = map.raw.as_ptr().wrapping_add(start).cast::<AtomicU64>();
        if !words.is_aligned() {
            return None;
        }
        // SAFETY: `place` has checked that these bytes are in the map, which lives as long as
        // `map`; they are aligned; whoever else writes them is another process.
        Some((map, unsafe { &*words.cast::<[AtomicU64; 512]>() }))
    }

    /// `at` as a place in the map, where `size` bytes from there on are part of it.
    fn place(&self, at: u64, size: u64) -> Option<usize> {
        let end = at.checked_add(size)?;
        (end <= self.size).then_some(())?;
        self.offset.checked_add(end)?;
        usize::try_from(at).ok()
    }
}

/// Copies from a map that others may write: words where they are aligned, bytes before and after.
///
/// # Safety
/// `from` and the bytes that follow it, as many as `into` has, are mapped for as long as this runs.
unsafe fn copy_bytes(from: *const u8, into: &mut [u8]) {
    let head = from.align_offset(align_of::<AtomicU64>()).min(into.len());
    let (head, rest) = into.split_at_mut(head);
    let (words, tail) = rest.as_chunks_mut::<8>();
    let middle = from.wrapping_add(head.len());
    let end = middle.wrapping_add(words.len() * 8);
    // SAFETY: all three lie in what the caller promises; `middle` is aligned by `align_offset`.
    unsafe {
        for (place, byte) in head.iter_mut().enumerate() {
            *byte = (*from.add(place).cast::<AtomicU8>()).load(Ordering::Relaxed);
        }
        for (place, word) in words.iter_mut().enumerate() {
            let at = middle.cast::<AtomicU64>().add(place);
            *word = (*at).load(Ordering::Relaxed).to_ne_bytes();
        }
        for (place, byte) in tail.iter_mut().enumerate() {
            *byte = (*end.add(place).cast::<AtomicU8>()).load(Ordering::Relaxed);
        }
    }
}

impl Map {
    /// `None` where it cannot be mapped, or not be guarded.
    fn new(file: &File, offset: u64, size: u64) -> Option<Self> {
        let length = usize::try_from(size).ok().filter(|length| *length > 0)?;
        install().ok()?;
        let mut options = MmapOptions::new();
        let raw = options.offset(offset).len(length);
        let raw = raw.map_raw_read_only(file.as_raw_fd()).ok()?;
        // Where the offset is no page's, the map begins in the middle of one.
        let page = rustix::param::page_size();
        let into = raw.as_ptr() as usize % page;
        let slot = SLOTS.iter().position(|slot| {
            // Taken by its size, known to the handler by its start.
            let size = &slot.size;
            let taken =
                size.compare_exchange(0, length + into, Ordering::AcqRel, Ordering::Relaxed);
            taken.is_ok()
        })?;
        SLOTS[slot].is_lost.store(false, Ordering::Release);
        let start = raw.as_ptr() as usize - into;
        SLOTS[slot].start.store(start, Ordering::Release);
        Some(Self { raw, slot })
    }

    fn is_lost(&self) -> bool {
        // The handler runs on the thread that loads: what it stored is seen by what comes after the loads.
        fence(Ordering::SeqCst);
        SLOTS[self.slot].is_lost.load(Ordering::Acquire)
    }
}

impl Drop for Map {
    /// Takes the map from the handler before it is unmapped.
    fn drop(&mut self) {
        SLOTS[self.slot].start.store(0, Ordering::Release);
        SLOTS[self.slot].size.store(0, Ordering::Release);
    }
}

/// Handles SIGBUS from now on, once for the program.
fn install() -> io::Result<()> {
    static ONCE: Once = Once::new();
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    ONCE.call_once(|| {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all-zero is a valid `sigaction`; both pointers are to ones of ours; `handle` does only
        // what a signal handler may (see there).
        let done = unsafe {
            if libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) != 0 {
                return;
            }
            let kept = Box::leak(Box::new(before.assume_init()));
            BEFORE.store(ptr::from_mut(kept) as usize, Ordering::Release);
            let mut ours: libc::sigaction = mem::zeroed();
            ours.sa_sigaction = handle as *const () as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut ours.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut())
        };
        IS_INSTALLED.store(done == 0, Ordering::Release);
    });
    if IS_INSTALLED.load(Ordering::Acquire) {
        return Ok(());
    }
    Err(io::Error::other("SIGBUS cannot be handled"))
}

/// Lays zeros over the map that the signal is about, or hands the signal on.
///
/// Async-signal-safe: loads and stores of atomics, and two system calls (mmap, sigaction).
extern "C" fn handle(
    _signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel gives a valid `siginfo_t` to a handler that was set with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        let size = slot.size.load(Ordering::Acquire);
        // Another thread may give the slot to another map meanwhile: then the two do not belong together.
        let is_one = slot.start.load(Ordering::Acquire) == start;
        if start == 0 || !is_one || address < start || address - start >= size {
            continue;
        }
        // SAFETY: these pages are a map of ours, which nobody uses but through `GuardedMap`: that expects
        // other bytes there at any time.
        let laid = unsafe {
            libc::mmap(
                start as *mut libc::c_void,
                size,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if laid != libc::MAP_FAILED {
            slot.is_lost.store(true, Ordering::Release);
            return;
        }
    }
    let before = BEFORE.load(Ordering::Acquire) as *const libc::sigaction;
    if !before.is_null() {
        // SAFETY: it was leaked by `install` before this handler was set. The instruction runs again, and
        // the signal comes again, to whoever handled it before.
        unsafe { libc::sigaction(libc::SIGBUS, before, ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn numbered(count: usize) -> Vec<u8> {
        (0..count).map(|place| (place / 7) as u8).collect()
    }

    #[test]
    fn copies_are_what_the_file_holds_wherever_they_begin() {
        let bytes = numbered(3 * 4096 + 5);
        let map = GuardedMap::new(file(&bytes), 0, bytes.len() as u64);
        assert!(map.is_mapped());
        for (at, size) in [(0, 0), (0, 1), (3, 30), (4095, 4098), (1, 7), (12_288, 5)] {
            let expected = bytes[at..at + size].to_vec();
            assert_eq!(
                map.copy(at as u64, size as u64),
                Some(expected),
                "{at} {size}"
            );
        }
        let frame = map.copy_frame(4096).unwrap();
        assert_eq!(Some(&frame), words_of(&bytes[4096..8192]).as_ref());
        assert!(map.holds(4096, &frame));
        assert!(!map.holds(0, &frame) && !map.holds(u64::MAX, &frame));
        assert_eq!(map.copy(12_289, 5), None);
        assert_eq!(map.copy(u64::MAX, 2), None);
        assert_eq!(map.copy_frame(8198), None);
    }

    #[test]
    fn a_part_of_a_file_begins_anywhere() {
        let bytes = numbered(5 * 4096);
        for offset in [1, 8, 4096, 4100] {
            let map = GuardedMap::new(file(&bytes), offset, 8192);
            let from = offset as usize;
            assert_eq!(
                map.copy(0, 8192).as_deref(),
                Some(&bytes[from..from + 8192])
            );
            let words = words_of(&bytes[from + 4096..from + 8192]);
            assert_eq!(map.copy_frame(4096), words, "{offset}");
            assert_eq!(map.copy(1, 8192), None);
        }
    }

    /// Held by the test that takes all slots, and by the one that needs one.
    static ALL_SLOTS: std::sync::Mutex<()> = std::sync::Mutex::new(());

    /// Without the guard this ends the test program with SIGBUS.
    #[test]
    fn a_file_that_is_cut_is_survived() {
        let _slots = ALL_SLOTS.lock();
        let bytes = numbered(16 * 4096);
        let file = file(&bytes);
        for offset in [0, 24] {
            file.set_len(16 * 4096).unwrap();
            let map = GuardedMap::new(file.try_clone().unwrap(), offset, 15 * 4096);
            assert!(map.is_mapped());
            file.set_len(4096 + 100).unwrap();
            assert_eq!(map.copy_frame(8192), None);
            assert!(!map.is_mapped());
            assert_eq!(map.copy(8192, 1), None);
            // What is left is still read.
            assert_eq!(map.copy(0, 64).map(|bytes| bytes.len()), Some(64));
        }
    }

    #[test]
    fn maps_beyond_the_slots_are_read_all_the_same() {
        let _slots = ALL_SLOTS.lock();
        let bytes = numbered(8192);
        let maps: Vec<GuardedMap> = (0..MAX_MAPS + 3)
            .map(|_| GuardedMap::new(file(&bytes), 0, 8192))
            .collect();
        for map in &maps {
            assert_eq!(map.copy_frame(4096), words_of(&bytes[4096..]));
        }
        assert!(maps.iter().any(|map| !map.is_mapped()));
    }
}
