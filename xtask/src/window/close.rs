//! Asking a window to close, as a click on its cross does.
//!
//! That click is a message from the window manager, and a display for tests has none; xdotool
//! learnt to send it (`windowquit`) only after the version that Debian 12 has. So it is sent here,
//! in the four messages of the X protocol (X Window System Protocol, version 11, appendix B) that
//! this takes: setup, InternAtom twice, SendEvent.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const INTERN_ATOM: u8 = 16;
const SEND_EVENT: u8 = 25;
const CLIENT_MESSAGE: u8 = 33;

/// Sends WM_DELETE_WINDOW to `window` on display `:number` (ICCCM, section 4.2.8.1).
pub(super) fn ask_to_close(number: u32, window: u32) -> Result<()> {
    let mut stream = UnixStream::connect(format!("/tmp/.X11-unix/X{number}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    set_up(&mut stream)?;
    let protocols = intern_atom(&mut stream, "WM_PROTOCOLS")?;
    let delete = intern_atom(&mut stream, "WM_DELETE_WINDOW")?;
    stream.write_all(&close_message(window, protocols, delete))?;
    // Requests are carried out in order: this answer says that the message has been sent.
    intern_atom(&mut stream, "WM_PROTOCOLS").map(drop)
}

/// Little-endian, protocol 11.0, no authorization: the server is our own and local.
fn set_up(stream: &mut UnixStream) -> Result<()> {
    stream.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let rest_words = u16::from_le_bytes([head[6], head[7]]);
    let mut rest = vec![0; usize::from(rest_words) * 4];
    stream.read_exact(&mut rest)?;
    if head[0] == 1 {
        Ok(())
    } else {
        Err(Error::other("the display refuses the connection"))
    }
}

fn intern_atom(stream: &mut UnixStream, name: &str) -> Result<u32> {
    stream.write_all(&intern_atom_request(name))?;
    loop {
        let mut packet = [0; 32];
        stream.read_exact(&mut packet)?;
        match packet[0] {
            0 => return Err(Error::other(format!("X error {}", packet[1]))),
            1 => {
                let atom = [packet[8], packet[9], packet[10], packet[11]];
                return Ok(u32::from_le_bytes(atom));
            }
            // An event that every client is told; all are 32 bytes long but the generic one.
            35 => return Err(Error::new(ErrorKind::InvalidData, "an unexpected X event")),
            _ => {}
        }
    }
}

fn intern_atom_request(name: &str) -> Vec<u8> {
    let padded = name.len().next_multiple_of(4);
    let mut request = vec![INTERN_ATOM, 0];
    request.extend((2 + padded as u16 / 4).to_le_bytes());
    request.extend((name.len() as u16).to_le_bytes());
    request.extend([0, 0]);
    request.extend(name.as_bytes());
    request.resize(8 + padded, 0);
    request
}

fn close_message(window: u32, protocols: u32, delete: u32) -> Vec<u8> {
    let mut request = vec![SEND_EVENT, 0];
    request.extend(11_u16.to_le_bytes());
    request.extend(window.to_le_bytes());
    let no_event_mask: u32 = 0;
    request.extend(no_event_mask.to_le_bytes());
    // The event itself: data as 32-bit words, of which the first names what is asked.
    request.extend([CLIENT_MESSAGE, 32, 0, 0]);
    request.extend(window.to_le_bytes());
    request.extend(protocols.to_le_bytes());
    request.extend(delete.to_le_bytes());
    request.resize(44, 0);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_length_that_they_announce() {
        let announced =
            |request: &[u8]| usize::from(u16::from_le_bytes([request[2], request[3]])) * 4;
        for name in ["WM_PROTOCOLS", "WM_DELETE_WINDOW", "A", ""] {
            let request = intern_atom_request(name);
            assert_eq!(announced(&request), request.len(), "{name}");
        }
        let request = close_message(1, 2, 3);
        assert_eq!(announced(&request), request.len());
    }
}
