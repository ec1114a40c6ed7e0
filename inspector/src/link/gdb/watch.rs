//! Stopping at writes: write watchpoints (`Z2`), of any length.
//!
//! A stub of a RISC-V machine stops *before* the store, again and again when the hart is resumed there
//! (gdb's `riscv-tdep.c` sets `have_nonsteppable_watchpoint`; QEMU's `gdb_stop_before_watchpoint`). So the store
//! is finished here, before the stop is reported: without that watchpoint the hart executes one instruction.
//!
//! ```text
//!  ◀── T05thread:01;watch:87ffe000;   about to store
//!  ──▶ z2,87ffe000,1000  vCont;s:1    it stores, the other harts stand still
//!  ──▶ Z2,87ffe000,1000               StopReason::Watch
//! ```
//!
//! QEMU watches virtual addresses, whoever's space they are in; while a hart does not translate they are physical
//! ones. QEMU 7.2 looks neither at what an atomic instruction writes (`atomic_mmu_lookup`) nor at what the
//! hardware's walk does to A and D.

use std::collections::BTreeSet;

use super::{GdbTarget, STEP_OFF_LIMIT, StopReason, Target as _};
use crate::link::rsp::escaped;
use crate::link::{HartId, LinkError};
use pagescope_protocol::VirtRange;

/// A stretch that is watched: its first address and its bytes.
pub(super) type Watched = (u64, u64);

impl GdbTarget {
    /// Watches these stretches and no others. On an error what was watched before may be watched in part;
    /// watching nothing takes all of it back.
    pub(super) fn watch(&mut self, ranges: &[VirtRange]) -> Result<(), LinkError> {
        self.need_stopped("watchpoints")?;
        let wanted: BTreeSet<Watched> = ranges
            .iter()
            .filter(|range| !range.is_empty())
            .map(|range| (range.start().as_u64(), range.size()))
            .collect();
        let gone: Vec<Watched> = self.watched.difference(&wanted).copied().collect();
        let fresh: Vec<Watched> = wanted.difference(&self.watched).copied().collect();
        self.tell_watches('z', &gone)?;
        for range in &gone {
            self.watched.remove(range);
        }
        // Before they are set: what is set in part is taken back too.
        self.watched.extend(&fresh);
        let told = self.tell_watches('Z', &fresh);
        if matches!(
            told,
            Err(LinkError::Refused { .. } | LinkError::NoWatchpoints { .. })
        ) {
            let set: Vec<Watched> = std::mem::take(&mut self.watched).into_iter().collect();
            self.tell_watches('z', &set)?;
        }
        told
    }

    fn tell_watches(&mut self, letter: char, ranges: &[Watched]) -> Result<(), LinkError> {
        let mut refused: Option<String> = None;
        self.client.pipeline(
            ranges.len(),
            |number, out| {
                let (start, size) = ranges[number];
                out.extend_from_slice(format!("{letter}2,{start:x},{size:x}").as_bytes());
            },
            |_, reply| {
                if reply != b"OK" {
                    refused.get_or_insert_with(|| escaped(reply));
                }
                Ok(())
            },
        )?;
        match refused {
            // One that was set in part is not there to be taken back.
            Some(_) if letter == 'z' => Ok(()),
            None => Ok(()),
            Some(code) if code.is_empty() => Err(LinkError::NoWatchpoints {
                address: self.facts.address.clone(),
            }),
            Some(code) => Err(LinkError::Refused {
                packet: format!("{letter}2 (a watchpoint)"),
                code,
            }),
        }
    }

    /// Lets the hart that is about to store at `address` do so.
    pub(super) fn finish_store(&mut self, hart: HartId, address: u64) -> Result<(), LinkError> {
        let met: Vec<Watched> = self
            .watched
            .iter()
            .copied()
            .filter(|(start, size)| address.wrapping_sub(*start) < *size)
            .collect();
        if met.is_empty() {
            return Ok(());
        }
        self.tell_watches('z', &met)?;
        self.go(Some(hart))?;
        if self.wait_for_stop(STEP_OFF_LIMIT)?.is_none() {
            self.interrupt()?;
            if self.wait_for_stop(STEP_OFF_LIMIT)?.is_none() {
                return Err(match self.client.is_cancelled() {
                    true => LinkError::Cancelled,
                    false => self.client.protocol("a hart does not end its step"),
                });
            }
        }
        if matches!(
            self.motion,
            super::Motion::Stopped(StopReason::Exited { .. })
        ) {
            return Ok(());
        }
        self.tell_watches('Z', &met)
    }
}
