//! Capturing a guest that runs: read, read again, and believe what stayed.
//!
//! ```text
//!  registers, block, tables level by level          the same again, all at once
//!  ├──────────── first read ────────────┤├──────── second read ────────┤
//!                                        ▲
//!             what is the same both times was so, all of it together, here
//! ```
//!
//! What differs has moved, and the whole is read anew, a few times. What moves even then is kept and said to be
//! [`Unsettled`]. Two things cannot be told this way: a word that changed and changed back between the two
//! reads (it was then as it is shown at both), and registers other than satp, which are those of
//! different instructions ([`crate::link::monitor`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use pagescope_protocol::snapshot::{Snapshot, Taken, Unsettled};
use pagescope_protocol::{PhysPage, PhysRange, Satp};

use super::Capturer;
use crate::link::{Cancel, HartId, LinkError, Target, virtualized};
use crate::model::in_machine_terms;

/// How often a guest that moves under the reader is read before what moves is called unsettled.
pub const ATTEMPTS: u32 = 4;

impl Capturer {
    /// Reads everything of a guest that runs, through a target that can
    /// ([`works_while_running`](crate::link::PhysicalAccess::works_while_running)); at most `attempts` times,
    /// once where `cancel` is set.
    ///
    /// # Errors
    /// When the target is lost on the way: nothing half is ever returned.
    pub fn capture_running(
        &mut self,
        target: &mut dyn Target,
        attempts: u32,
        cancel: &Cancel,
    ) -> Result<Arc<Snapshot>, LinkError> {
        let mut left = attempts;
        loop {
            let mut snapshot = self.read_everything(target)?;
            let moving = self.moving(target, &snapshot)?;
            left = left.saturating_sub(1);
            if moving.is_empty() || left == 0 || cancel.is_cancelled() {
                snapshot.stop = match moving.is_empty() {
                    true => "running".into(),
                    false => format!("running, not settled: {moving}"),
                };
                snapshot.taken = Taken::Running(moving);
                return Ok(self.remember(snapshot));
            }
        }
    }

    /// Reads again what `snapshot` says: what is not as it was.
    fn moving(
        &mut self,
        target: &mut dyn Target,
        snapshot: &Snapshot,
    ) -> Result<Unsettled, LinkError> {
        let kernel = match snapshot.kernel {
            Some(_) => self.kernel_moved(target, snapshot)?,
            None => self.processes_moved(target, snapshot)?,
        };
        let tables = torn_tables(target, snapshot)?;
        let mut harts = Vec::new();
        for hart in target.harts()? {
            harts.push((hart, target.registers(hart)?));
        }
        virtualized::find_out(target, &mut harts)?;
        let satps: Vec<(HartId, Option<Satp>)> = (harts.into_iter())
            .map(|(hart, registers)| (hart, registers.satp))
            .collect();
        let moved = snapshot.harts.iter().filter(|hart| {
            let now = satps.iter().find(|(id, _)| id.number() == hart.id);
            now.is_none_or(|(_, satp)| *satp != hart.satp)
        });
        Ok(Unsettled {
            tables,
            harts: moved.map(|hart| hart.id).collect(),
            kernel,
        })
    }

    /// Whether the kernel was changing what it publishes, or published something else since.
    fn kernel_moved(
        &self,
        target: &mut dyn Target,
        snapshot: &Snapshot,
    ) -> Result<bool, LinkError> {
        let (Some(place), Some(before)) = (self.info, &snapshot.kernel) else {
            return Ok(false);
        };
        let Some(info) = place.read(target, &self.machine)? else {
            return Ok(true);
        };
        let facts = info.facts();
        Ok(before.changing > 0
            || facts.changing > 0
            || facts.layout != before.layout
            || info.heap(&self.machine) != snapshot.heap)
    }

    /// Whether a kernel that publishes nothing has begun or ended a process since: then the tables of one that is
    /// gone may belong to somebody else by now.
    fn processes_moved(
        &self,
        target: &mut dyn Target,
        snapshot: &Snapshot,
    ) -> Result<bool, LinkError> {
        let satps: Vec<Satp> = snapshot.harts.iter().filter_map(|hart| hart.satp).collect();
        Ok(self.processes(target, &satps)?.spaces != self.told.spaces)
    }
}

/// The tables whose words are others now, in the order of their frames.
fn torn_tables(target: &mut dyn Target, snapshot: &Snapshot) -> Result<Vec<PhysPage>, LinkError> {
    let mut seen = BTreeSet::new();
    let mut tables = Vec::new();
    let mut ranges = Vec::new();
    for space in &snapshot.spaces {
        let entry_bytes = space.mode.entry_bytes();
        // A guest's tables lie where the G-stage says, and nothing is read but there.
        for table in &in_machine_terms(snapshot, space).tables {
            let Some(entries) = &table.entries else {
                continue;
            };
            let size = entries.words().len() as u64 * entry_bytes;
            let range = PhysRange::new(table.frame.start(), size);
            if let Some(range) = range.filter(|_| seen.insert(table.frame)) {
                tables.push((
                    table.frame,
                    Arc::clone(entries.shared()),
                    entry_bytes as usize,
                ));
                ranges.push(range);
            }
        }
    }
    let again = target.read_physical(&ranges)?;
    let moved = tables
        .iter()
        .zip(&again)
        .filter(|((_, before, entry_bytes), now)| {
            !now.as_ref()
                .is_some_and(|now| holds(now, before, *entry_bytes))
        });
    let mut torn: Vec<PhysPage> = moved.map(|((frame, ..), _)| *frame).collect();
    torn.sort_unstable();
    Ok(torn)
}

/// Whether `bytes` are these entries, of so many bytes each.
fn holds(bytes: &[u8], entries: &[u64], entry_bytes: usize) -> bool {
    let mut now = bytes.chunks_exact(entry_bytes).map(|entry| {
        let mut word = [0; 8];
        word[..entry_bytes].copy_from_slice(entry);
        u64::from_le_bytes(word)
    });
    entries.iter().all(|entry| now.next() == Some(*entry)) && now.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::holds;
    use crate::capture::Capturer;
    use crate::guest::GuestOptions;
    use crate::guest::elf::file;
    use crate::guest::profile::Choice;
    use crate::link::bare_ram::BareRam;

    /// A process as xv6 has it: its state, and its page table.
    fn put_process(memory: &mut BareRam, slot: u64, state: u32, table: u64) {
        let at = 0x8001_0000 + slot * 360;
        memory.put(at + 24, &state.to_le_bytes());
        memory.put(at + 48, &(slot as u32 + 1).to_le_bytes());
        memory.put(at + 80, &table.to_le_bytes());
    }

    /// Its tables may hold somebody else's data by now.
    #[test]
    fn a_process_that_ends_while_it_is_read_is_unsettled() {
        let mut memory = BareRam::new(1 << 20);
        put_process(&mut memory, 0, 2, 0x8008_0000);
        put_process(&mut memory, 1, 2, 0x8008_4000);
        let elf = file(&[("proc", 0x8001_0000)]);
        let options = GuestOptions {
            profile: Choice::parse("xv6-riscv").unwrap(),
            ..GuestOptions::default()
        };
        let mut capturer = Capturer::with(&mut memory, Some(Arc::new(elf)), options).unwrap();
        let snapshot = capturer.read_everything(&mut memory).unwrap();
        assert_eq!(snapshot.spaces.len(), 2);
        assert!(!capturer.moving(&mut memory, &snapshot).unwrap().kernel);
        put_process(&mut memory, 1, 0, 0);
        assert!(capturer.moving(&mut memory, &snapshot).unwrap().kernel);
    }

    #[test]
    fn entries_of_both_widths_are_compared() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0];
        assert!(holds(&bytes, &[0x2_0000_0001], 8));
        assert!(holds(&bytes, &[1, 2], 4));
        assert!(!holds(&bytes, &[1, 3], 4));
        assert!(!holds(&bytes, &[1], 4) && !holds(&bytes, &[1, 2, 0], 4));
    }
}
