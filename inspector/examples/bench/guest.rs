//! A machine in QEMU that has nothing but tables in its RAM, and a bare connection to its gdb port.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pagescope::link::memory::mapped::RamFile;
use pagescope::link::{Address, ConnectOptions, GdbTarget, LinkError};
use tempfile::TempDir;

use crate::ram_target::{RAM_SIZE, RAM_START, ROOT};

/// How long anything may take before the measurement is given up.
const GIVE_UP: Duration = Duration::from_secs(120);

/// Bytes of memory in one `m` packet of the bare connection: half of what QEMU announces at least.
pub(crate) const CHUNK_BYTES: u64 = 2048;

/// How many packets the bare connection leaves unanswered.
const WINDOW: usize = 32;

/// The machine. It is ended when it is dropped.
pub(crate) struct Machine {
    child: Child,
    directory: TempDir,
}

impl Machine {
    /// A stopped `virt` with these words from [`ROOT`] on.
    pub(crate) fn with_tables(words: &[u64]) -> io::Result<Self> {
        let directory = directory()?;
        let ram = directory.path().join("ram");
        let size = RAM_SIZE >> 20;
        let object = format!(
            "memory-backend-file,id=ram,size={size}M,mem-path={},share=on",
            ram.display()
        );
        let machine = Self::start(
            directory,
            &["-machine", "virt,memory-backend=ram", "-object", &object],
            &["-bios", "none", "-serial", "null", "-S"],
        )?;
        let file = OpenOptions::new().write(true).open(&ram)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&bytes, ROOT - RAM_START)?;
        Ok(machine)
    }

    /// A running `virt` with our kernel, whose debug channel is at [`channel`](Self::channel).
    pub(crate) fn with_kernel(kernel: &[u8]) -> io::Result<Self> {
        let directory = directory()?;
        let elf = directory.path().join("kernel.elf");
        fs::write(&elf, kernel)?;
        let serial = directory.path().join("channel");
        let serial = format!("unix:{},server=on,wait=off", serial.display());
        let elf = elf.display().to_string();
        Self::start(
            directory,
            &["-machine", "virt", "-bios", "none"],
            &["-kernel", &elf, "-serial", &serial, "-append", "pace=0"],
        )
    }

    fn start(directory: TempDir, machine: &[&str], rest: &[&str]) -> io::Result<Self> {
        let gdb = directory.path().join("gdb");
        let child = Command::new("qemu-system-riscv64")
            .args(machine)
            .args(["-m", "128M", "-display", "none", "-monitor", "none"])
            .args(rest)
            .arg("-gdb")
            .arg(format!("unix:{},server=on,wait=off", gdb.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut machine = Self { child, directory };
        let began = Instant::now();
        while !gdb.exists() {
            if let Some(status) = machine.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "QEMU ended at its start: {status}"
                )));
            }
            if began.elapsed() > GIVE_UP {
                return Err(io::Error::other("QEMU does not open its gdb port"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(machine)
    }

    /// Its gdb port.
    pub(crate) fn port(&self) -> PathBuf {
        self.directory.path().join("gdb")
    }

    /// Its kernel's debug channel.
    pub(crate) fn channel(&self) -> PathBuf {
        self.directory.path().join("channel")
    }

    /// The file that holds its RAM.
    pub(crate) fn ram(&self) -> PathBuf {
        self.directory.path().join("ram")
    }

    /// Connects as Pagescope does.
    pub(crate) fn connect(&self, socket: &Path) -> Result<GdbTarget, LinkError> {
        let options = ConnectOptions {
            timeout: GIVE_UP,
            ram_file: self.ram().exists().then(|| RamFile::new(self.ram())),
            ..ConnectOptions::default()
        };
        GdbTarget::connect(&Address::Unix(socket.to_owned()), options)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder whose files are memory, where there is such a place.
fn directory() -> io::Result<TempDir> {
    let builder = tempfile::Builder::new()
        .prefix("pagescope-bench-")
        .to_owned();
    builder
        .tempdir_in("/dev/shm")
        .or_else(|_| builder.tempdir())
}

/// gdb's protocol with nothing around it: what the link can do.
pub(crate) struct Bare {
    stream: UnixStream,
    received: Vec<u8>,
    /// How much of that has been looked at.
    seen: usize,
}

impl Bare {
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(GIVE_UP))?;
        let mut bare = Self {
            stream,
            received: Vec::new(),
            seen: 0,
        };
        // QEMU 7.2 says unasked that the machine stands still: everything up to this answer is passed over.
        bare.send("qAttached")?;
        while bare.answer()? != b"1" {}
        Ok(bare)
    }

    /// Asks once and waits.
    pub(crate) fn ask(&mut self, request: &str) -> io::Result<Vec<u8>> {
        self.send(request)?;
        self.answer()
    }

    /// Reads memory at these physical addresses, [`CHUNK_BYTES`] each; how many bytes came.
    pub(crate) fn read_all(&mut self, addresses: &[u64]) -> io::Result<usize> {
        let mut requests = addresses
            .iter()
            .map(|address| packet(&format!("m{address:x},{CHUNK_BYTES:x}")));
        let mut bytes = 0;
        let ahead: Vec<u8> = requests.by_ref().take(WINDOW).flatten().collect();
        self.stream.write_all(&ahead)?;
        for _ in addresses {
            bytes += self.answer_length()? / 2;
            if let Some(next) = requests.next() {
                self.stream.write_all(&next)?;
            }
        }
        Ok(bytes)
    }

    fn send(&mut self, request: &str) -> io::Result<()> {
        self.stream.write_all(&packet(request))
    }

    fn answer(&mut self) -> io::Result<Vec<u8>> {
        let length = self.answer_length()?;
        let end = self.seen - 3;
        Ok(self.received[end - length..end].to_vec())
    }

    /// Passes over one packet: how many bytes are in it.
    fn answer_length(&mut self) -> io::Result<usize> {
        if self.seen > 1 << 20 {
            self.received.drain(..self.seen);
            self.seen = 0;
        }
        let mut from = self.seen;
        let mut start = None;
        loop {
            let new = &self.received[from..];
            if start.is_none() {
                start = new
                    .iter()
                    .position(|byte| *byte == b'$')
                    .map(|at| from + at + 1);
            }
            if let Some(start) = start {
                let begin = from.max(start);
                let end = self.received[begin..].iter().position(|byte| *byte == b'#');
                if let Some(end) = end.map(|at| begin + at)
                    && self.received.len() >= end + 3
                {
                    self.seen = end + 3;
                    return Ok(end - start);
                }
            }
            // The `#` may have come without what belongs to it.
            from = self.received.len().saturating_sub(2).max(self.seen);
            let mut buffer = [0; 1 << 16];
            match self.stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                got => self.received.extend_from_slice(&buffer[..got]),
            }
        }
    }
}

fn packet(payload: &str) -> Vec<u8> {
    let sum = payload.bytes().fold(0u8, u8::wrapping_add);
    format!("+${payload}#{sum:02x}").into_bytes()
}

/// Has the only hart's satp name the tables, with `number` as the register's number in the stub's description.
pub(crate) fn set_satp(socket: &Path, number: u64, satp: u64) -> io::Result<()> {
    let mut bare = Bare::connect(socket)?;
    // QEMU takes registers one by one only from who has read its description (`gdbstub.c`, `gdb_has_xml`).
    bare.ask("qXfer:features:read:target.xml:0,400")?;
    let value: String = satp
        .to_le_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let answer = bare.ask(&format!("P{number:x}={value}"))?;
    if answer == b"OK" {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Err(io::Error::other(format!(
        "the stub does not set satp: {answer}"
    )))
}
