//! A machine without a kernel: a QEMU stopped in S-mode, or VS-mode, with tables of our making.
//!
//! The tables lie in RAM before the machine starts (`-device loader`). One instruction is executed,
//! an `mret`, because V can only be set by a return from a trap; nothing runs after it.
//!
//! ```text
//!  0x80000000  mret          mepc = 0x80000004, mstatus.MPP = S, mstatus.MPV = 1 for a guest
//!  0x80200000  the arena     satp, or vsatp and hgatp, have its roots
//! ```
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part, and stops where a step fails"
)]

#[path = "../link_support/mod.rs"]
pub(crate) mod link_support;

use std::fs;
use std::time::{Duration, Instant};

use link_support::{HANG_GUARD, Qemu};
use pagescope::link::rsp::client::Client;
use pagescope::link::rsp::description::Description;
use pagescope::link::{Address, Cancel, LinkError};

/// Where the machine begins.
const CODE: u64 = 0x8000_0000;

/// Where tables lie.
pub(crate) const TABLES: u64 = 0x8020_0000;

const MRET: u32 = 0x3020_0073;

/// A QEMU that stands still in the mode that was asked for.
pub(crate) struct BareMachine {
    pub(crate) qemu: Qemu,
    _folder: tempfile::TempDir,
}

/// What such a machine is.
pub(crate) struct Wanted<'a> {
    /// `qemu-system-riscv64` or `…32`.
    pub(crate) program: &'a str,
    /// As `-cpu` takes it.
    pub(crate) cpu: &'a str,
    /// What lies at [`TABLES`].
    pub(crate) tables: &'a [u8],
    /// CSRs to set, such as satp.
    pub(crate) registers: &'a [(&'a str, u64)],
    /// Whether it ends in VS-mode.
    pub(crate) virtualized: bool,
}

impl BareMachine {
    pub(crate) fn start(wanted: &Wanted<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (code, tables) = (folder.path().join("code"), folder.path().join("tables"));
        fs::write(&code, MRET.to_le_bytes()).unwrap();
        fs::write(&tables, wanted.tables).unwrap();
        let load = |path: &std::path::Path, at: u64| {
            format!("loader,file={},addr={at:#x},force-raw=on", path.display())
        };
        let qemu = Qemu::program(
            wanted.program,
            &[
                "-M",
                "virt",
                "-m",
                "128M",
                "-bios",
                "none",
                "-S",
                "-cpu",
                wanted.cpu,
                "-device",
                &load(&code, CODE),
                "-device",
                &load(&tables, TABLES),
            ],
        );
        let mut hands = Hands::on(&qemu.address);
        // All memory is open to S-mode: without a rule, none would be.
        hands.set("pmpaddr0", u64::MAX >> 10);
        hands.set("pmpcfg0", 0x1f);
        for (name, value) in wanted.registers {
            hands.set(name, *value);
        }
        hands.set("mepc", CODE + 4);
        // SUM: a user's pages are mapped, too, for whoever asks in S-mode.
        let sum = 1 << 18;
        if wanted.virtualized {
            hands.set("vsstatus", sum);
        }
        let supervisor = 1 << 11 | sum;
        match (wanted.virtualized, hands.is_rv32) {
            (false, _) => hands.set("mstatus", supervisor),
            (true, false) => hands.set("mstatus", supervisor | 1 << 39),
            (true, true) => {
                hands.set("mstatus", supervisor);
                hands.set("mstatush", 1 << 7);
            }
        }
        hands.set("pc", CODE);
        hands.step();
        assert_eq!(hands.get("priv"), 1, "the mret was executed");
        assert_eq!(hands.get("pc"), CODE + 4);
        Self {
            qemu,
            _folder: folder,
        }
    }
}

/// A gdb client that writes registers, which Pagescope never does.
struct Hands {
    client: Client,
    description: Description,
    is_rv32: bool,
}

impl Hands {
    fn on(address: &Address) -> Self {
        let guard = Instant::now() + HANG_GUARD;
        let mut client = loop {
            match Client::connect(address, HANG_GUARD, Cancel::new()) {
                Err(LinkError::ConnectionRefused { .. }) if Instant::now() < guard => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => break other.unwrap(),
            }
        };
        client
            .first_request(b"qSupported:xmlRegisters=riscv")
            .unwrap();
        let description = Description::read(&mut |name| {
            let mut text = Vec::new();
            loop {
                let request = format!("qXfer:features:read:{name}:{:x},f00", text.len());
                let reply = client.request(request.as_bytes())?;
                text.extend_from_slice(&reply[1..]);
                if reply[0] == b'l' {
                    return Ok(Some(String::from_utf8(text).unwrap()));
                }
            }
        });
        let description = description.unwrap_or_else(|error| panic!("{error:?}"));
        let is_rv32 = description.xlen_bits() == Some(32);
        Self {
            client,
            description,
            is_rv32,
        }
    }

    fn number(&self, name: &str) -> u32 {
        let found = self.description.register(name);
        found
            .unwrap_or_else(|| panic!("the stub shows no {name}"))
            .number
    }

    fn set(&mut self, name: &str, value: u64) {
        let bytes = value.to_le_bytes();
        let bytes = &bytes[..if self.is_rv32 { 4 } else { 8 }];
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let request = format!("P{:x}={digits}", self.number(name));
        let reply = self.client.request(request.as_bytes()).unwrap();
        assert_eq!(reply, b"OK", "{name} can be set");
    }

    fn get(&mut self, name: &str) -> u64 {
        let request = format!("p{:x}", self.number(name));
        let reply = self.client.request(request.as_bytes()).unwrap();
        pagescope::link::rsp::hex::register(&reply).unwrap()
    }

    fn step(&mut self) {
        self.client.start(b"vCont;s:1").unwrap();
        let stopped = self.client.wait_for_stop(HANG_GUARD).unwrap();
        assert!(stopped.is_some(), "one instruction ends");
    }
}
