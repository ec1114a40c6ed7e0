//! A gdb stub that answers anything: connecting, registers, memory, a capture.
//!
//! The input is cut at zero bytes. A piece goes out as a whole packet, with its right sum, so that what is inside is
//! looked at; where the first byte of the input is odd, every piece goes out as it is.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use pagescope::capture::Capturer;
use pagescope::link::rsp::packet::push_packet;
use pagescope::link::{Address, ConnectOptions, GdbTarget, Target as _};

pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let mut said = Vec::new();
    for piece in rest.split(|byte| *byte == 0) {
        if kind & 1 == 0 {
            said.push(b'+');
            push_packet(piece, &mut said);
        } else {
            said.extend_from_slice(piece);
        }
    }
    // A folder of its own for each: inputs may run side by side.
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("gdb");
    let Ok(listener) = UnixListener::bind(&path) else {
        return;
    };
    let stub = thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else {
            return;
        };
        let _ = stream.write_all(&said);
        let _ = stream.shutdown(Shutdown::Write);
        // Until the other side is tired of it.
        let mut sink = [0; 4096];
        while matches!(stream.read(&mut sink), Ok(count) if count > 0) {}
    });
    let options = ConnectOptions {
        timeout: Duration::from_millis(200),
        ..ConnectOptions::default()
    };
    if let Ok(mut target) = GdbTarget::connect(&Address::Unix(path), options) {
        let _ = target.harts();
        if let Ok(mut capturer) = Capturer::new(&mut target, None) {
            let _ = capturer.capture(&mut target, "fuzz");
        }
        let _ = Box::new(target).detach();
    }
    let _ = stub.join();
}
