//! What the link's tests share: QEMU started by hand, and a stub whose every answer a test decides.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary is a crate of its own and uses its part, and stops where a step fails"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pagescope::link::rsp::packet::{Decoder, Incoming, push_packet};
use pagescope::link::{Address, ConnectOptions, GdbTarget, LinkError, PhysicalAccess, Target as _};
use pagescope_protocol::{PhysAddr, PhysRange};

/// Ends a test that hangs; says nothing about speed.
pub const HANG_GUARD: Duration = Duration::from_secs(60);

/// A QEMU as somebody else would start it.
pub struct Qemu {
    child: Child,
    pub address: Address,
    _directory: tempfile::TempDir,
}

impl Qemu {
    /// Starts it with these options beyond its gdb port.
    pub fn start(options: &[&str]) -> Self {
        Self::program(
            "qemu-system-riscv64",
            &[&["-M", "virt", "-m", "128M"], options].concat(),
        )
    }

    /// Another emulator.
    pub fn program(program: &str, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("gdb");
        let mut child = Command::new(program)
            .args(["-display", "none", "-serial", "null", "-monitor", "none"])
            .args(options)
            .arg("-gdb")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{program} cannot be started ({error}); type: apt-get install qemu-system-misc"
                )
            });
        let guard = Instant::now() + HANG_GUARD;
        while !socket.exists() {
            assert!(Instant::now() < guard, "QEMU does not open its gdb port");
            let ended = child.try_wait().unwrap();
            assert_eq!(ended, None, "{program} {options:?} ended at its start");
            thread::sleep(Duration::from_millis(5));
        }
        Self {
            child,
            address: Address::Unix(socket),
            _directory: directory,
        }
    }

    /// Connects, and reads memory over the port.
    pub fn connect(&self) -> GdbTarget {
        let mut target = connect(&self.address).unwrap();
        target.choose_way(PhysicalAccess::GdbPort).unwrap();
        target
    }

    /// Connects, and reads memory by the fastest way there is.
    pub fn connect_by_any_way(&self) -> GdbTarget {
        connect(&self.address).unwrap()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects; the port may exist a moment before it listens.
pub fn connect(address: &Address) -> Result<GdbTarget, LinkError> {
    let guard = Instant::now() + HANG_GUARD;
    loop {
        let options = ConnectOptions {
            timeout: HANG_GUARD,
            ..ConnectOptions::default()
        };
        match GdbTarget::connect(address, options) {
            Err(LinkError::ConnectionRefused { .. }) if Instant::now() < guard => {
                thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

pub fn range(start: u64, size: u64) -> PhysRange {
    PhysRange::new(PhysAddr::new(start), size).unwrap()
}

/// What a stub does about one request.
pub enum Answer {
    /// Sends this payload as a packet.
    Packet(Vec<u8>),
    /// Sends these bytes as they are.
    Raw(Vec<u8>),
    /// Sends nothing.
    Nothing,
    /// Closes the connection.
    Close,
}

impl From<&str> for Answer {
    fn from(payload: &str) -> Self {
        Self::Packet(payload.as_bytes().to_vec())
    }
}

/// Everything that a stub was asked, in order.
pub type Log = Arc<Mutex<Vec<String>>>;

/// A stub that serves connections one after the other.
pub struct Stub {
    pub address: Address,
    pub log: Log,
}

impl Stub {
    /// The packets of `greeting` are sent when a client connects, `answer` decides about each request. A request
    /// for which it gives `None` is answered as [`plain`] does.
    pub fn start(
        greeting: &'static [&'static str],
        mut answer: impl FnMut(&str) -> Option<Vec<Answer>> + Send + 'static,
    ) -> Self {
        let log = Log::default();
        let ours = log.clone();
        let address = serve(move |mut stream| {
            let mut greetings = Vec::new();
            for greeting in greeting {
                push_packet(greeting.as_bytes(), &mut greetings);
            }
            let _ = stream.write_all(&greetings);
            let mut decoder = Decoder::new();
            let mut buffer = [0; 4096];
            let mut last = Vec::new();
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                decoder.extend(&buffer[..count]);
                while let Some(incoming) = decoder.next_incoming() {
                    let payload = match incoming {
                        Incoming::Packet => String::from_utf8_lossy(decoder.payload()).into_owned(),
                        Incoming::Nak => {
                            ours.lock().unwrap().push("-".to_owned());
                            let _ = stream.write_all(&last);
                            continue;
                        }
                        _ => continue,
                    };
                    ours.lock().unwrap().push(payload.clone());
                    let answers = answer(&payload).unwrap_or_else(|| vec![plain(&payload)]);
                    let mut out = b"+".to_vec();
                    for answer in answers {
                        match answer {
                            Answer::Packet(payload) => {
                                last.clear();
                                push_packet(&payload, &mut last);
                                out.extend(&last);
                            }
                            Answer::Raw(bytes) => out.extend(bytes),
                            Answer::Nothing => {}
                            Answer::Close => return,
                        }
                    }
                    if stream.write_all(&out).is_err() {
                        return;
                    }
                }
            }
        });
        Self { address, log }
    }

    pub fn connect(&self) -> Result<GdbTarget, LinkError> {
        connect(&self.address)
    }

    pub fn asked(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// Serves TCP connections on a free port, one after the other, as long as the test runs.
pub fn serve(mut client: impl FnMut(TcpStream) + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.set_nodelay(true);
            client(stream);
        }
    });
    Address::Tcp {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

pub const TARGET: &str = r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>riscv:rv64</architecture><xi:include href="cpu.xml"/></target>"#;

/// Three integer registers, pc and satp are enough of a hart.
pub const CPU: &str = r#"<feature name="org.gnu.gdb.riscv.cpu"><reg name="zero" bitsize="64"/><reg name="ra" bitsize="64"/><reg name="sp" bitsize="64"/><reg name="pc" regnum="32" bitsize="64"/><reg name="satp" bitsize="64" regnum="450"/><reg name="scause" bitsize="64" regnum="388"/></feature>"#;

/// Answers as QEMU does: memory whose every byte is the low byte of its address.
pub fn plain(request: &str) -> Answer {
    let words: Vec<&str> = request.split([':', ',']).collect();
    let numbers = |text: &str| -> Vec<u64> {
        text.split(',')
            .map(|n| u64::from_str_radix(n, 16).unwrap())
            .collect()
    };
    match words[0] {
        "qSupported" => "PacketSize=1000;qXfer:features:read+;vContSupported+".into(),
        "qqemu.PhyMemMode" => "0".into(),
        "Qqemu.PhyMemMode" | "Hg1" | "Z0" | "z0" | "D" => "OK".into(),
        "vCont?" => "vCont;c;C;s;S".into(),
        "qRcmd" => "OK".into(),
        "qfThreadInfo" => "m01".into(),
        "qsThreadInfo" => "l".into(),
        "p1c2" => "fc7f080000000080".into(),
        "p184" => "E14".into(),
        "p20" => "0000008000000000".into(),
        "g" => [
            "0000000000000000",
            "1000000000000000",
            "xxxxxxxxxxxxxxxx",
            "0000008000000000",
        ]
        .concat()
        .as_str()
        .into(),
        "qXfer" => {
            let document = if words[3] == "target.xml" {
                TARGET
            } else {
                CPU
            };
            let from = usize::from_str_radix(words[4], 16).unwrap();
            let from = from.min(document.len());
            let size = usize::from_str_radix(words[5], 16).unwrap();
            let end = (from + size).min(document.len());
            let more = if end < document.len() { 'm' } else { 'l' };
            format!("{more}{}", &document[from..end]).as_str().into()
        }
        _ if request.starts_with('m') => {
            let asked = numbers(&request[1..]);
            if asked[1] > 0x800 {
                return "E22".into();
            }
            memory(asked[0], asked[1]).as_str().into()
        }
        _ => "".into(),
    }
}

/// What [`plain`]'s memory holds, spelled out.
pub fn memory(start: u64, size: u64) -> String {
    (start..start + size)
        .map(|a| format!("{:02x}", a as u8))
        .collect()
}

/// The same, as bytes.
pub fn bytes(start: u64, size: u64) -> Vec<u8> {
    (start..start + size).map(|a| a as u8).collect()
}
