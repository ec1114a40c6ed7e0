//! Getting to know a target, from the first byte to its facts.
//!
//! QEMU is asked many things at once, because each question of its own costs a way there and back, and its
//! stub takes them (its packets are read from a buffer, one after the other). Of another stub nothing is
//! known, so it is asked one thing at a time.
//!
//! ```text
//!  round 1  qSupported
//!        2  qqemu.PhyMemMode                                   QEMU?
//!        3  info version, info status, info mtree -f, vCont?, threads, target.xml
//!        4  what target.xml includes
//!        5  only with QEMU on this machine: where RAM lies on the host
//!        6  only where there is such a way: memory, to compare
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::physical::{PhysicalSwitch, Way};
use super::{ConnectOptions, GdbTarget, Motion, escaped, printed_text};
use crate::link::memory::port;
use crate::link::rsp::client::{Answer, Client, Question};
use crate::link::rsp::description::{Description, DescriptionError, MAX_DOCUMENT_BYTES, ROOT};
use crate::link::rsp::hex;
use crate::link::{
    Address, FoundState, LinkError, PhysicalAccess, StopReason, Stub, Target, TargetFacts, qemu,
};

/// What we can do. `multiprocess` is left out on purpose: thread ids stay plain numbers.
const SUPPORTED: &[u8] = b"qSupported:swbreak+;hwbreak+;vContSupported+;xmlRegisters=riscv";

/// The first QEMU that sends stop replies only when they are due, see [`super`].
const QUIET_SINCE: (u32, u32) = (8, 1);

/// What QEMU's monitor is asked while it is got to know.
const MONITOR: [&str; 3] = ["info version", "info status", qemu::MTREE];

/// What its stub is asked with it.
const PACKETS: [&[u8]; 3] = [b"vCont?", b"qfThreadInfo", b"qsThreadInfo"];

/// Most documents that are asked for before anybody has read the first: QEMU has four.
const MAX_AHEAD: usize = 8;

pub(super) fn connect(address: &Address, options: ConnectOptions) -> Result<GdbTarget, LinkError> {
    let mut client = Client::connect(address, options.timeout, options.cancel)?;
    let features = client.first_request(SUPPORTED).inspect_err(|_| {
        if options.found != Some(FoundState::Stopped) {
            client.abandon();
        }
    });
    let features = features?;
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
            packet_size_bytes: port::packet_size(announced),
            architecture: String::new(),
            xlen_bits: 0,
            physical: PhysicalAccess::Unavailable,
            found: found.unwrap_or(FoundState::Unknown),
        },
        description: Description::default(),
        direct: Vec::new(),
        offers: Vec::new(),
        told: BTreeMap::new(),
        harts: None,
        last_pc: None,
        selected: None,
        physical: PhysicalSwitch::default(),
        breakpoints: BTreeSet::new(),
        watched: BTreeSet::new(),
        reported: None,
        motion: Motion::Stopped(StopReason::Interrupted { hart: None }),
        has_vcont: None,
        documents: BTreeMap::new(),
        looked_around: false,
        ram: Vec::new(),
        rest_of_ram: Vec::new(),
        found_is_known: found.is_some(),
        left: false,
    };
    target.find_out_state()?;
    target.find_out_registers(&features)?;
    target.find_ways(options.ram_file.as_ref(), options.way)?;
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
            self.facts.stub = Stub::Qemu { version: None };
            self.ask_qemu()?;
            let version = self.told.get(MONITOR[0]);
            let version = version.and_then(|text| qemu::version(text));
            if !self.found_is_known {
                let status = self.told.get(MONITOR[1]).map_or("", String::as_str);
                let release = version.as_deref().and_then(qemu::release);
                self.facts.found = found_state(status, release);
            }
            self.facts.stub = Stub::Qemu { version };
        } else if let Some(found) = self.ask_monitor_for_physical()? {
            self.physical = PhysicalSwitch::found(Way::Monitor, found);
            self.facts.physical = PhysicalAccess::Monitor;
        }
        self.found_is_known = true;
        Ok(())
    }

    /// Asks QEMU in one round what is wanted of it first.
    fn ask_qemu(&mut self) -> Result<(), LinkError> {
        let root = piece_request(ROOT, 0, self.facts.packet_size_bytes);
        let monitor = MONITOR.iter().map(|command| Question::Monitor(command));
        let packets = PACKETS.iter().map(|packet| Question::Packet(packet));
        let root = [Question::Packet(root.as_bytes())];
        let questions: Vec<Question<'_>> = monitor.chain(packets).chain(root).collect();
        let mut answers = self.client.ask(&questions)?;
        let replies = answers.split_off(MONITOR.len());
        for (command, answer) in MONITOR.into_iter().zip(answers) {
            match printed_text(command, answer) {
                Ok(Some(text)) => drop(self.told.insert(command.to_owned(), text)),
                Ok(None) | Err(LinkError::Refused { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let mut replies = replies.into_iter().map(|answer| answer.reply);
        let mut next = || replies.next().unwrap_or_default();
        self.note_ways_to_move(&next());
        let threads = [next(), next()];
        // Where there are more than these two replies tell, they are asked for when they are needed.
        if threads[1] == b"l" {
            let harts = self.read_threads(&threads[0]).ok();
            self.harts = harts.filter(|harts| !harts.is_empty());
        }
        self.documents.insert((ROOT.to_owned(), 0), next());
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
        self.fetch_ahead()?;
        let ahead = std::mem::take(&mut self.documents);
        let client = &mut self.client;
        let description = Description::read(&mut |name| fetch(client, &ahead, name, most));
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
        self.has_vcont().map(drop)
    }

    /// Asks at once for what the first document includes, where that is there already.
    fn fetch_ahead(&mut self) -> Result<(), LinkError> {
        let most = self.facts.packet_size_bytes;
        let root = self.documents.get(&(ROOT.to_owned(), 0));
        let root = String::from_utf8_lossy(root.map_or(&[][..], Vec::as_slice)).into_owned();
        let named = root.split("href=\"").skip(1);
        let named = named.filter_map(|rest| rest.split('"').next());
        let is_plain = |name: &&str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && name.len() < 64 && name.chars().all(plain)
        };
        // QEMU's longest has the CSRs, 7 KiB.
        let pieces = |name: &str| 0..if name.contains("csr") { 4 } else { 2 };
        let wanted: Vec<(String, usize)> = named
            .filter(is_plain)
            .take(MAX_AHEAD)
            .flat_map(|name| {
                pieces(name).map(|number| (name.to_owned(), number * piece_size(most)))
            })
            .collect();
        let requests: Vec<String> = wanted
            .iter()
            .map(|(name, from)| piece_request(name, *from, most))
            .collect();
        let questions: Vec<Question<'_>> = requests
            .iter()
            .map(|request| Question::Packet(request.as_bytes()))
            .collect();
        if !questions.is_empty() {
            let answers = self.client.ask(&questions)?;
            let replies = answers.into_iter().map(|Answer { reply, .. }| reply);
            self.documents.extend(wanted.into_iter().zip(replies));
        }
        Ok(())
    }

    fn note_ways_to_move(&mut self, ways: &[u8]) {
        let has = |action: &[u8]| ways.split(|byte| *byte == b';').any(|way| way == action);
        self.has_vcont = Some(ways.starts_with(b"vCont") && has(b"c") && has(b"s"));
    }

    /// Whether it takes `vCont` with `c` and `s`.
    pub(super) fn has_vcont(&mut self) -> Result<bool, LinkError> {
        if self.has_vcont.is_none() {
            let ways = self.client.request(PACKETS[0])?;
            self.note_ways_to_move(&ways);
        }
        Ok(self.has_vcont == Some(true))
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

/// Pieces of the target's description that are here, by their document's name and where they begin.
pub(super) type Documents = BTreeMap<(String, usize), Vec<u8>>;

/// Bytes of a document that are asked for at once: as many as QEMU gives, which keeps room for each of them
/// being escaped (`gdbstub/gdbstub.c`, `handle_query_xfer_features`), so that where the next piece begins is
/// known ahead.
fn piece_size(most: usize) -> usize {
    (most.saturating_sub(5) / 2).max(16)
}

fn piece_request(name: &str, from: usize, most: usize) -> String {
    let piece = piece_size(most);
    format!("qXfer:features:read:{name}:{from:x},{piece:x}")
}

/// One document of the target's description, piece by piece.
fn fetch(
    client: &mut Client,
    ahead: &Documents,
    name: &str,
    most: usize,
) -> Result<Option<String>, LinkError> {
    let mut text = Vec::new();
    loop {
        let reply = match ahead.get(&(name.to_owned(), text.len())) {
            Some(reply) => reply.clone(),
            None => client.request(piece_request(name, text.len(), most).as_bytes())?,
        };
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
