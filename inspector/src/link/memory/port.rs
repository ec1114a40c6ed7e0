//! Physical memory over the gdb port: many small reads, pipelined.

use std::sync::Arc;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysAddr, PhysPage, PhysRange};

use super::words_of;
use crate::link::LinkError;
use crate::link::rsp::client::Client;
use crate::link::rsp::{escaped, hex};

/// The least a stub has to take in a packet; what announces less is not believed.
const MIN_PACKET_BYTES: usize = 64;

/// The most that we make use of. The guess at QEMU's announcement must stay far below
/// [`MAX_RAW_BYTES`](crate::link::rsp::packet::MAX_RAW_BYTES).
const MAX_PACKET_BYTES: usize = 1 << 17;

/// The packet size to go by, from what a stub announces.
pub fn packet_size(announced: Option<u64>) -> usize {
    // gdb's own default for stubs that announce nothing.
    let announced = announced.unwrap_or(400);
    usize::try_from(announced)
        .unwrap_or(usize::MAX)
        .clamp(MIN_PACKET_BYTES, MAX_PACKET_BYTES)
}

/// Most bytes that are set aside for an answer before any of it is there.
const MOST_AHEAD: u64 = 1 << 16;

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
pub fn read(
    client: &mut Client,
    packet_size: usize,
    prepare: Option<&[u8]>,
    ranges: &[PhysRange],
) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
    let most = (packet_size / 2).max(1) as u64;
    let mut results: Vec<Option<Vec<u8>>> = ranges
        .iter()
        .map(|range| Some(Vec::with_capacity(range.size().min(MOST_AHEAD) as usize)))
        .collect();
    let mut chunks = Vec::new();
    for (number, range) in ranges.iter().enumerate() {
        chunks.extend(chunks_of(number, 0, range.size(), most));
    }
    let total = ranges.iter().map(|range| range.size());
    client.progress().start(total.fold(0, u64::saturating_add));
    let read = read_chunks(client, prepare, ranges, chunks, &mut results);
    client.progress().end();
    read.map(|()| results)
}

/// Reads the chunks, and what of them is missing still.
fn read_chunks(
    client: &mut Client,
    prepare: Option<&[u8]>,
    ranges: &[PhysRange],
    mut chunks: Vec<Chunk>,
    results: &mut [Option<Vec<u8>>],
) -> Result<(), LinkError> {
    let mut prepare = prepare;
    // A stub may answer less than it was asked for: then the rest is asked for again. Each round
    // ends with fewer bytes missing, so there is a last one.
    while !chunks.is_empty() || prepare.is_some() {
        let ahead = usize::from(prepare.is_some());
        let mut refused = None;
        let mut missing: Vec<Chunk> = Vec::new();
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
                if payload.is_empty() || is_error(payload) {
                    results[chunk.range] = None;
                    return Ok(());
                }
                let got = payload.len() as u64 / 2;
                if got > chunk.size || !place(&mut results[chunk.range], chunk, payload) {
                    return Err("it answers a read with something else than its bytes".to_owned());
                }
                if got < chunk.size {
                    missing.push(Chunk {
                        offset: chunk.offset + got,
                        size: chunk.size - got,
                        ..chunk
                    });
                }
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
    Ok(())
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

/// Puts the bytes that `text` spells at the chunk's place of an answer that grows as its parts come, mostly
/// in order. `false` where that is no hexadecimal.
fn place(answer: &mut Option<Vec<u8>>, chunk: Chunk, text: &[u8]) -> bool {
    let (Some(answer), Ok(offset)) = (answer, usize::try_from(chunk.offset)) else {
        // The range was refused before: what comes of it now is not wanted.
        return true;
    };
    if answer.len() == offset {
        return hex::decode_into(text, answer);
    }
    let Some(bytes) = hex::decode(text) else {
        return false;
    };
    let end = offset + bytes.len();
    if answer.len() < end {
        answer.resize(end, 0);
    }
    answer[offset..end].copy_from_slice(&bytes);
    true
}

/// `E14`, or `E.` and a text. `E` and an odd number of digits is no memory.
fn is_error(payload: &[u8]) -> bool {
    payload.first() == Some(&b'E') && (payload.len() == 3 || payload.get(1) == Some(&b'.'))
}

fn push_read(address: PhysAddr, size: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // A Vec takes everything.
    let _ = write!(out, "m{address:x},{size:x}");
}

/// Reads whole frames as words, as [`read`] does.
///
/// # Errors
/// When the link fails. A frame that the stub refuses is `None`.
pub fn read_frames(
    client: &mut Client,
    packet_size: usize,
    prepare: Option<&[u8]>,
    frames: &[PhysPage],
) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
    let ranges: Vec<PhysRange> = frames.iter().map(|frame| frame.range()).collect();
    let answers = read(client, packet_size, prepare, &ranges)?;
    let words = |bytes: Option<Vec<u8>>| words_of(&bytes?);
    Ok(answers.into_iter().map(words).collect())
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
    fn chunks_cover_a_range_without_gap() {
        let sizes = |size, most| {
            let chunks = chunks_of(0, 0, size, most);
            chunks.map(|c| (c.offset, c.size)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(0, 8), []);
        assert_eq!(sizes(8, 8), [(0, 8)]);
        assert_eq!(sizes(17, 8), [(0, 8), (8, 8), (16, 1)]);
    }
}
