//! Byte streams to a target: TCP, Unix sockets, character devices. None of them ever blocks.
//!
//! Invariants: a wait ends within [`SLICE`] of a [`Cancel`]; connecting too, because it happens on a
//! thread of its own that is left behind when nobody wants it any more.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};

use super::memory::peer::{self, Peer};
use super::{Address, Cancel, LinkError};

/// The longest time in which nobody looks at the [`Cancel`].
pub const SLICE: Duration = Duration::from_millis(50);

/// A serial line's speed. Pseudo-terminals do not care.
const SERIAL_BAUD: u32 = 115_200;

/// A byte stream that never blocks.
#[derive(Debug)]
pub enum Transport {
    /// TCP, with `TCP_NODELAY`: else a round trip can cost 40 ms.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// A character device.
    Serial(File),
}

impl Transport {
    /// Connects to `address` within `timeout`.
    ///
    /// # Errors
    /// When nobody is there or the wait ends.
    pub fn connect(
        address: &Address,
        timeout: Duration,
        cancel: &Cancel,
    ) -> Result<Self, LinkError> {
        let (send, receive) = mpsc::sync_channel(1);
        let theirs = address.clone();
        // Looking up a name, and a full Unix backlog, block without a limit.
        thread::Builder::new()
            .name("link-connect".to_owned())
            .spawn(move || {
                // Nobody receives it when the wait was cancelled: then the stream closes here.
                let _ = send.send(open(&theirs, timeout));
            })
            .map_err(|error| cannot(address, &error))?;
        let deadline = Instant::now() + timeout + SLICE;
        loop {
            match receive.recv_timeout(SLICE) {
                Ok(Ok(transport)) => return Ok(transport),
                Ok(Err(error)) => return Err(connect_error(address, &error, timeout)),
                Err(_) if cancel.is_cancelled() => return Err(LinkError::Cancelled),
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => {
                    return Err(LinkError::NoAnswer {
                        address: address.clone(),
                        waited: timeout,
                    });
                }
            }
        }
    }

    /// Whether bytes can be lost or changed on the way.
    pub fn is_lossy(&self) -> bool {
        matches!(self, Self::Serial(_))
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        match self {
            Self::Tcp(stream) => match (stream.local_addr(), stream.peer_addr()) {
                (Ok(ours), Ok(theirs)) => peer::of_tcp(ours, theirs),
                _ => Peer::Elsewhere,
            },
            Self::Unix(stream) => match rustix::net::sockopt::socket_peercred(stream) {
                Ok(holder) => u32::try_from(holder.pid.as_raw_pid())
                    .ok()
                    .filter(|pid| *pid != 0)
                    .map_or(Peer::Hidden, Peer::Process),
                Err(_) => Peer::Hidden,
            },
            Self::Serial(_) => Peer::Elsewhere,
        }
    }

    /// Waits until there are bytes to read, or room to write if `wants_write`, at most `limit`.
    ///
    /// # Errors
    /// When the operating system refuses to wait.
    pub fn wait(&self, wants_write: bool, limit: Duration) -> io::Result<()> {
        let mut events = PollFlags::IN;
        if wants_write {
            events |= PollFlags::OUT;
        }
        let limit = limit.min(SLICE);
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let mut polled = [PollFd::new(self, events)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // A socket that hung up says so when it is read; a device reads as nothing, for ever.
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let now = polled[0].revents();
        if self.is_lossy() && now.intersects(gone) && !now.contains(PollFlags::IN) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the device hung up",
            ));
        }
        Ok(())
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Serial(file) => file.as_fd(),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Serial(file) => file.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Serial(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(address: &Address, timeout: Duration) -> io::Result<Transport> {
    match address {
        Address::Tcp { host, port } => open_tcp(host, *port, timeout).map(Transport::Tcp),
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            Ok(Transport::Unix(stream))
        }
        Address::Serial(path) => open_serial(path).map(Transport::Serial),
        Address::File(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a file, and nobody answers there",
        )),
    }
}

/// Tries every number that the name stands for: `localhost` is often ::1 first, where nobody is.
fn open_tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for number in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&number, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn open_serial(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let mut modes = tcgetattr(&file)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "it is no serial device"))?;
    modes.make_raw();
    modes.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    modes.set_speed(SERIAL_BAUD)?;
    tcsetattr(&file, OptionalActions::Now, &modes)?;
    Ok(file)
}

fn connect_error(address: &Address, error: &io::Error, waited: Duration) -> LinkError {
    let address = address.clone();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkError::ConnectionRefused { address },
        io::ErrorKind::NotFound if matches!(address, Address::Unix(_)) => {
            LinkError::ConnectionRefused { address }
        }
        io::ErrorKind::TimedOut => LinkError::NoAnswer { address, waited },
        _ => cannot(&address, error),
    }
}

fn cannot(address: &Address, error: &io::Error) -> LinkError {
    LinkError::CannotConnect {
        address: address.clone(),
        why: error.to_string(),
    }
}
