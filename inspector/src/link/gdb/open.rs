//! Getting to know a target, from the first byte to its facts.

use std::collections::BTreeSet;

use super::physical::{PhysicalSwitch, Way};
use super::{ConnectOptions, GdbTarget, Motion, escaped, memory};
use crate::link::memory::RamFile;
use crate::link::rsp::client::Client;
use crate::link::rsp::description::{Description, DescriptionError, MAX_DOCUMENT_BYTES};
use crate::link::rsp::hex;
use crate::link::{
    Address, FoundState, LinkError, PhysicalAccess, StopReason, Stub, Target, TargetFacts, qemu,
};
use pagescope_protocol::PhysRange;

/// What we can do. `multiprocess` is left out on purpose: thread ids stay plain numbers.
const SUPPORTED: &[u8] = b"qSupported:swbreak+;hwbreak+;vContSupported+;xmlRegisters=riscv";

/// The first QEMU that sends stop replies only when they are due, see [`super`].
const QUIET_SINCE: (u32, u32) = (8, 1);

/// Bytes that the port and a RAM file are compared by, at its start, middle and end.
const PROBE_BYTES: u64 = 512;

pub(super) fn connect(address: &Address, options: ConnectOptions) -> Result<GdbTarget, LinkError> {
    let mut client = Client::connect(address, options.timeout, options.cancel)?;
    let features = client.first_request(SUPPORTED)?;
    if features == SUPPORTED {
        return Err(LinkError::NotAStub {
            address: address.clone(),
            what: "whatever it hears".to_owned(),
        });
    }
    let announced = feature(&features, b"PacketSize").and_then(hex::number);
    let found = options.found;
    // From here on the machine is in our hands: an error drops the target, which leaves it.
    let mut target = GdbTarget {
        client,
        facts: TargetFacts {
            address: address.clone(),
            stub: Stub::Other,
            packet_size_bytes: memory::packet_size(announced),
            architecture: String::new(),
            xlen_bits: 0,
            physical: PhysicalAccess::Unavailable,
            found: found.unwrap_or(FoundState::Unknown),
        },
        description: Description::default(),
        ram: None,
        selected: None,
        physical: PhysicalSwitch::default(),
        breakpoints: BTreeSet::new(),
        reported: None,
        motion: Motion::Stopped(StopReason::Interrupted { hart: None }),
        has_vcont: false,
        found_is_known: found.is_some(),
        left: false,
    };
    target.find_out_state()?;
    target.find_out_registers(&features)?;
    target.find_out_ways()?;
    if let Some(path) = &options.ram_file {
        target.use_ram(RamFile::open(path)?, path)?;
    }
    Ok(target)
}

impl GdbTarget {
    /// Whether it is QEMU, and whether the machine ran before we came.
    pub(super) fn find_out_state(&mut self) -> Result<(), LinkError> {
        let stopped_by_us = self.client.take_unsolicited_stop().is_some();
        if stopped_by_us && !self.found_is_known {
            self.facts.found = FoundState::Running;
            self.found_is_known = true;
        }
        let switch = self.client.request(b"qqemu.PhyMemMode")?;
        let found = match switch.as_slice() {
            b"0" => Some(false),
            b"1" => Some(true),
            _ => None,
        };
        if let Some(found) = found {
            self.physical = PhysicalSwitch::found(Way::Qemu, found);
            self.facts.physical = PhysicalAccess::GdbPort;
            let version = self.ask_monitor("info version")?;
            let version = version.as_deref().and_then(qemu::version);
            if !self.found_is_known {
                let status = self.ask_monitor("info status")?.unwrap_or_default();
                let release = version.as_deref().and_then(qemu::release);
                self.facts.found = found_state(&status, release);
            }
            self.facts.stub = Stub::Qemu { version };
        } else if let Some(found) = self.ask_monitor_for_physical()? {
            self.physical = PhysicalSwitch::found(Way::Monitor, found);
            self.facts.physical = PhysicalAccess::Monitor;
        }
        self.found_is_known = true;
        Ok(())
    }

    /// What the monitor prints; `None` also where it refuses, which is no reason to give up.
    pub(super) fn ask_monitor(&mut self, command: &str) -> Result<Option<String>, LinkError> {
        match self.monitor(command) {
            Err(LinkError::Refused { .. }) => Ok(None),
            other => other,
        }
    }

    fn find_out_registers(&mut self, features: &[u8]) -> Result<(), LinkError> {
        let other = |found: &str| LinkError::OtherArchitecture {
            found: found.to_owned(),
        };
        let offered = features.split(|byte| *byte == b';');
        if !offered.into_iter().any(|f| f == b"qXfer:features:read+") {
            return Err(other("unknown (the stub has no target description)"));
        }
        let most = self.facts.packet_size_bytes;
        let client = &mut self.client;
        let description = Description::read(&mut |name| fetch(client, name, most));
        self.description = description.map_err(|error| match error {
            DescriptionError::Link(error) => error,
            DescriptionError::Malformed(what) => self
                .client
                .protocol(&format!("its target description cannot be read: {what}")),
        })?;
        let named = self.description.architecture.as_str();
        let xlen = self.description.xlen_bits().unwrap_or(0);
        self.facts.xlen_bits = match (named, xlen) {
            ("riscv:rv64", _) | ("riscv", 64) => 64,
            ("riscv:rv32", _) | ("riscv", 32) => 32,
            ("", _) => return Err(other("unknown (the stub does not name it)")),
            _ => return Err(other(named)),
        };
        self.facts.architecture = named.to_owned();
        Ok(())
    }

    fn find_out_ways(&mut self) -> Result<(), LinkError> {
        let ways = self.client.request(b"vCont?")?;
        let has = |action: &[u8]| ways.split(|byte| *byte == b';').any(|way| way == action);
        self.has_vcont = ways.starts_with(b"vCont") && has(b"c") && has(b"s");
        Ok(())
    }

    /// Reads memory from `ram` from now on, if it holds what the port says.
    fn use_ram(&mut self, ram: RamFile, path: &std::path::Path) -> Result<(), LinkError> {
        let range = ram.range();
        let size = PROBE_BYTES.min(range.size());
        let last = range.size() - size;
        let probes: Vec<PhysRange> = [0, (last / 2) & !7, last]
            .into_iter()
            .filter_map(|offset| PhysRange::new(range.start().checked_add(offset)?, size))
            .collect();
        if self.physical.is_there() {
            let over_port = self.read_over_port(&probes)?;
            let from_file = probes.iter().map(|probe| ram.read(*probe));
            if !over_port.into_iter().eq(from_file) {
                return Err(LinkError::RamFile {
                    path: path.to_owned(),
                    why: "it holds something else than the guest's memory".to_owned(),
                });
            }
        }
        self.facts.physical = PhysicalAccess::MappedRam { range };
        self.ram = Some(ram);
        Ok(())
    }
}

/// What `info status` says about the time before we connected.
fn found_state(status: &str, release: Option<(u32, u32)>) -> FoundState {
    let status = status.trim();
    let Some(state) = status.strip_prefix("VM status: ") else {
        return FoundState::Unknown;
    };
    match state {
        // An older one would have told us that connecting stopped it.
        "paused" if release.is_some_and(|release| release < QUIET_SINCE) => FoundState::Stopped,
        "paused" | "running" => FoundState::Unknown,
        // `paused (prelaunch)`, `paused (debug)`, `paused (shutdown)`…
        _ => FoundState::Stopped,
    }
}

/// The value of `name=value` in a list of features.
fn feature<'a>(features: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut features = features.split(|byte| *byte == b';');
    features.find_map(|feature| feature.strip_prefix(name)?.strip_prefix(b"="))
}

/// One document of the target's description, piece by piece.
fn fetch(client: &mut Client, name: &str, most: usize) -> Result<Option<String>, LinkError> {
    // Room for the packet's own bytes.
    let piece = most.saturating_sub(16).max(16);
    let mut text = Vec::new();
    loop {
        let request = format!("qXfer:features:read:{name}:{:x},{piece:x}", text.len());
        let reply = client.request(request.as_bytes())?;
        let (is_last, part) = match reply.split_first() {
            Some((b'l', part)) => (true, part),
            Some((b'm', part)) if !part.is_empty() => (false, part),
            None | Some((b'E', _)) => return Ok(None),
            _ => {
                let what = format!("{} is no part of {name}", escaped(&reply));
                return Err(client.protocol(&what));
            }
        };
        text.extend_from_slice(part);
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(client.protocol(&format!("{name} does not end")));
        }
        if is_last {
            return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_texts() {
        let old = Some((7, 2));
        let new = Some((10, 0));
        for (status, release, found) in [
            ("VM status: paused (prelaunch)\n", new, FoundState::Stopped),
            ("VM status: paused (debug)\n", new, FoundState::Stopped),
            ("VM status: paused\n", old, FoundState::Stopped),
            ("VM status: paused\n", new, FoundState::Unknown),
            ("VM status: paused\n", None, FoundState::Unknown),
            ("unknown command", old, FoundState::Unknown),
        ] {
            assert_eq!(found_state(status, release), found, "{status} {release:?}");
        }
    }
}
