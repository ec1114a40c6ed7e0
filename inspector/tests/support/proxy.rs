//! A line to a gdb port that is as long as a test likes, and that counts what it costs.
//!
//! ```text
//!  client ──▶ delay ──▶ QEMU        a round begins where a request sets out while none is on its way:
//!         ◀── delay ◀──             requests that go out together are one
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pagescope::link::Address;
use pagescope::link::rsp::packet::{Decoder, Incoming};

/// What went over the line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Ways there and back.
    pub(crate) rounds: usize,
    /// Requests.
    pub(crate) requests: usize,
    on_their_way: usize,
}

/// A line to a gdb port.
pub(crate) struct Proxy {
    /// Where a client finds it.
    pub(crate) address: Address,
    traffic: Arc<Mutex<Traffic>>,
}

impl Proxy {
    /// A line to the Unix socket at `to`, with this delay each way. It serves one client after the other.
    pub(crate) fn start(to: &Address, delay: Duration) -> Self {
        let Address::Unix(path) = to.clone() else {
            panic!("QEMU of a test listens on a Unix socket");
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its port").port();
        let traffic: Arc<Mutex<Traffic>> = Arc::default();
        let ours = Arc::clone(&traffic);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&path) else {
                    break;
                };
                serve(client, server, delay, &ours);
            }
        });
        let address = Address::Tcp {
            host: "127.0.0.1".into(),
            port,
        };
        Self { address, traffic }
    }

    /// What went over it since the last call.
    pub(crate) fn take(&self) -> Traffic {
        let mut traffic = self.traffic.lock().expect("no thread of it panics");
        let taken = *traffic;
        *traffic = Traffic {
            on_their_way: taken.on_their_way,
            ..Traffic::default()
        };
        taken
    }
}

/// Passes bytes on until either side closes.
fn serve(client: TcpStream, server: UnixStream, delay: Duration, traffic: &Arc<Mutex<Traffic>>) {
    client.set_nodelay(true).expect("TCP takes it");
    let (up, down) = (Arc::clone(traffic), Arc::clone(traffic));
    let both = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    let (from_client, to_client) = (both(&client), both(&client));
    let from_server = server.try_clone().expect("a second handle");
    let to_server = server.try_clone().expect("a second handle");
    let there = pass(from_client, to_server, delay, move |incoming, _| {
        let mut traffic = up.lock().expect("no thread of it panics");
        if incoming == Incoming::Packet {
            traffic.rounds += usize::from(traffic.on_their_way == 0);
            traffic.requests += 1;
            traffic.on_their_way += 1;
        }
    });
    let back = pass(from_server, to_client, delay, move |incoming, payload| {
        let is_console = payload.first() == Some(&b'O') && payload != b"OK";
        let mut traffic = down.lock().expect("no thread of it panics");
        if incoming == Incoming::Packet && !is_console {
            // QEMU also says unasked that it stopped.
            traffic.on_their_way = traffic.on_their_way.saturating_sub(1);
        }
    });
    there.join().expect("it does not panic");
    // The client is gone: so is QEMU's connection, or it would serve no other.
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    back.join().expect("it does not panic");
    traffic.lock().expect("no thread of it panics").on_their_way = 0;
}

/// Passes bytes on, each after `delay`, and tells what they are as they set out.
fn pass(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    delay: Duration,
    mut tell: impl FnMut(Incoming, &[u8]) + Send + 'static,
) -> thread::JoinHandle<()> {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    let writer = thread::spawn(move || {
        for (due, bytes) in receive {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        let mut decoder = Decoder::new();
        let mut buffer = [0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            decoder.extend(&buffer[..count]);
            while let Some(incoming) = decoder.next_incoming() {
                tell(incoming, decoder.payload());
            }
            if send
                .send((Instant::now() + delay, buffer[..count].to_vec()))
                .is_err()
            {
                break;
            }
        }
        drop(send);
        let _ = writer.join();
    })
}
