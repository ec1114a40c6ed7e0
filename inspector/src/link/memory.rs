//! Physical memory: over the gdb port, or from the file that holds the guest's RAM.
//!
//! Both ways answer the same for RAM. Outside it they differ: the port answers zeros where nothing
//! is, and can change a device; the file refuses.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysAddr, PhysRange};

use super::LinkError;
use super::rsp::client::Client;
use super::rsp::{escaped, hex};

/// Where QEMU's `virt` has its RAM (`hw/riscv/virt.c`, `virt_memmap`, `VIRT_DRAM`).
pub const RAM_START: PhysAddr = PhysAddr::new(0x8000_0000);

/// The least a stub has to take in a packet; what announces less is not believed.
const MIN_PACKET_BYTES: usize = 64;

/// The most that we make use of. The guess at QEMU's announcement must stay far below
/// [`MAX_RAW_BYTES`](super::rsp::packet::MAX_RAW_BYTES).
const MAX_PACKET_BYTES: usize = 1 << 17;

/// The packet size to go by, from what a stub announces.
pub fn packet_size(announced: Option<u64>) -> usize {
    // gdb's own default for stubs that announce nothing.
    let announced = announced.unwrap_or(400);
    usize::try_from(announced)
        .unwrap_or(usize::MAX)
        .clamp(MIN_PACKET_BYTES, MAX_PACKET_BYTES)
}

/// The file that holds a guest's RAM (`-object memory-backend-file,share=on`).
///
/// Read with `pread`, which is coherent with QEMU's shared mapping of the same file.
#[derive(Debug)]
pub struct RamFile {
    file: File,
    range: PhysRange,
}

impl RamFile {
    /// Opens it; its length is the RAM's.
    ///
    /// # Errors
    /// When it cannot be opened or has no bytes.
    pub fn open(path: &Path) -> Result<Self, LinkError> {
        let wrong = |why: String| LinkError::RamFile {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let size = file
            .metadata()
            .map_err(|error| wrong(error.to_string()))?
            .len();
        let range = PhysRange::new(RAM_START, size).filter(|range| !range.is_empty());
        let range = range.ok_or_else(|| wrong(format!("it has {size} bytes")))?;
        Ok(Self { file, range })
    }

    /// The RAM that it holds.
    pub fn range(&self) -> PhysRange {
        self.range
    }

    /// Reads `range`; `None` where not all of it is in the file.
    pub fn read(&self, range: PhysRange) -> Option<Vec<u8>> {
        if !self.range.contains_range(range) {
            return None;
        }
        let offset = range.start().checked_offset_from(self.range.start())?;
        let mut bytes = vec![0; usize::try_from(range.size()).ok()?];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Some(bytes),
            // The file was cut: what it held is not known any more.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(_) => None,
        }
    }
}

/// A frame's bytes as words, in the guest's byte order, which for RISC-V is little-endian. `None` where
/// there are not as many as a frame has.
pub fn words_of(bytes: &[u8]) -> Option<Arc<TableWords>> {
    let (words, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    // Collected where it stays: one allocation, one copy.
    let words: Arc<[u64]> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    words.try_into().ok()
}

/// One `m` packet: part of a range.
#[derive(Clone, Copy)]
struct Chunk {
    range: usize,
    offset: u64,
    size: u64,
}

/// Reads `ranges` over the gdb port, in chunks of half a packet (QEMU `gdbstub/gdbstub.c`,
/// `handle_read_mem`: a byte is two digits, and a longer read answers E22). `prepare` requests go
/// out ahead in the same batch, and must be answered `OK`.
///
/// # Errors
/// When the link fails. A range that the stub refuses is `None`.
pub fn read_over_port(
    client: &mut Client,
    packet_size: usize,
    prepare: Option<&[u8]>,
    ranges: &[PhysRange],
) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
    let most = (packet_size / 2).max(1) as u64;
    let mut results: Vec<Option<Vec<u8>>> = ranges.iter().map(|_| Some(Vec::new())).collect();
    let mut chunks = Vec::new();
    for (number, range) in ranges.iter().enumerate() {
        chunks.extend(chunks_of(number, 0, range.size(), most));
    }
    let mut prepare = prepare;
    // A stub may answer less than it was asked for: then the rest is asked for again. Each round
    // ends with fewer bytes missing, so there is a last one.
    while !chunks.is_empty() || prepare.is_some() {
        let ahead = usize::from(prepare.is_some());
        let mut refused = None;
        let mut missing: Vec<Chunk> = Vec::new();
        let mut scratch = Vec::new();
        client.pipeline(
            chunks.len() + ahead,
            |number, out| match (number.checked_sub(ahead), prepare) {
                (Some(number), _) => {
                    let chunk = chunks[number];
                    let address = ranges[chunk.range].start().wrapping_add(chunk.offset);
                    push_read(address, chunk.size, out);
                }
                (None, request) => out.extend_from_slice(request.unwrap_or_default()),
            },
            |number, payload| {
                let Some(number) = number.checked_sub(ahead) else {
                    if payload != b"OK" {
                        refused = Some(payload.to_vec());
                    }
                    return Ok(());
                };
                let chunk = chunks[number];
                scratch.clear();
                if payload.is_empty() || is_error(payload) {
                    results[chunk.range] = None;
                    return Ok(());
                }
                if !hex::decode_into(payload, &mut scratch) || scratch.len() as u64 > chunk.size {
                    return Err("it answers a read with something else than its bytes".to_owned());
                }
                let got = scratch.len() as u64;
                if got < chunk.size {
                    missing.push(Chunk {
                        offset: chunk.offset + got,
                        size: chunk.size - got,
                        ..chunk
                    });
                }
                place(&mut results[chunk.range], chunk.offset, &scratch);
                Ok(())
            },
        )?;
        if let Some(code) = refused {
            return Err(LinkError::Refused {
                packet: escaped(prepare.unwrap_or_default()),
                code: escaped(&code),
            });
        }
        prepare = None;
        missing.retain(|chunk| results[chunk.range].is_some());
        chunks = missing;
    }
    Ok(results)
}

fn chunks_of(range: usize, offset: u64, size: u64, most: u64) -> impl Iterator<Item = Chunk> {
    (0..size.div_ceil(most)).map(move |number| {
        let from = number * most;
        Chunk {
            range,
            offset: offset + from,
            size: most.min(size - from),
        }
    })
}

/// Puts `bytes` at `offset` of an answer that grows as its parts come, mostly in order.
fn place(answer: &mut Option<Vec<u8>>, offset: u64, bytes: &[u8]) {
    let (Some(answer), Ok(offset)) = (answer, usize::try_from(offset)) else {
        return;
    };
    if answer.len() == offset {
        answer.extend_from_slice(bytes);
        return;
    }
    let end = offset + bytes.len();
    if answer.len() < end {
        answer.resize(end, 0);
    }
    answer[offset..end].copy_from_slice(bytes);
}

/// `E14`, or `E.` and a text. `E` and an odd number of digits is no memory.
fn is_error(payload: &[u8]) -> bool {
    payload.first() == Some(&b'E') && (payload.len() == 3 || payload.get(1) == Some(&b'.'))
}

fn push_read(address: PhysAddr, size: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("m{address:x},{size:x}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_packet_sizes_are_not_believed() {
        assert_eq!(packet_size(None), 400);
        assert_eq!(packet_size(Some(0)), MIN_PACKET_BYTES);
        assert_eq!(packet_size(Some(0x1000)), 0x1000);
        assert_eq!(packet_size(Some(u64::MAX)), MAX_PACKET_BYTES);
    }

    #[test]
    fn a_frame_s_words_are_little_endian_and_all_there() {
        let mut bytes = vec![0; 4096];
        bytes[8] = 0x34;
        bytes[9] = 0x12;
        let words = words_of(&bytes).unwrap();
        assert_eq!((words[0], words[1]), (0, 0x1234));
        assert_eq!(words_of(&bytes[..4088]), None);
        assert_eq!(words_of(&bytes[1..]), None);
        bytes.push(0);
        assert_eq!(words_of(&bytes), None);
    }

    #[test]
    fn chunks_cover_a_range_without_gap() {
        let sizes = |size, most| {
            let chunks = chunks_of(0, 0, size, most);
            chunks.map(|c| (c.offset, c.size)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(0, 8), []);
        assert_eq!(sizes(8, 8), [(0, 8)]);
        assert_eq!(sizes(17, 8), [(0, 8), (8, 8), (16, 1)]);
    }

    #[test]
    fn a_ram_file_refuses_what_it_does_not_hold() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            RamFile::open(file.path()),
            Err(LinkError::RamFile { .. })
        ));
        std::fs::write(file.path(), [7; 4096]).unwrap();
        let ram = RamFile::open(file.path()).unwrap();
        let read = |start, size| ram.read(PhysRange::new(PhysAddr::new(start), size).unwrap());
        assert_eq!(read(0x8000_0ff0, 16), Some(vec![7; 16]));
        assert_eq!(read(0x8000_0ff0, 17), None);
        assert_eq!(read(0x7fff_ffff, 1), None);
        file.as_file().set_len(10).unwrap();
        assert_eq!(read(0x8000_0000, 16), None);
    }
}
