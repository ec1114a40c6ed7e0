//! Captures of a guest in QEMU, each beside what it is compared with.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::link::{GdbTarget, PhysicalAccess, Target as _};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{PhysPage, Satp, TranslationMode};

use crate::guest::{Bare, CHUNK_BYTES, Machine, set_satp};
use crate::measure::{Runs, Timing};
use crate::ram_target::{ROOT, scattered, tables_of};

/// Why something could not be measured.
pub(crate) type Trouble = Box<dyn std::error::Error>;

/// One way to the memory of one guest.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) way: PhysicalAccess,
    /// The first capture.
    pub(crate) first: Timing,
    /// The next one, of an unchanged guest.
    pub(crate) again: Timing,
}

/// What was measured on one guest.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) leaves: usize,
    pub(crate) tables: usize,
    /// The same bytes over the bare link.
    pub(crate) bare: Timing,
    /// The walk alone over the gdb port: its tables read and nothing else asked.
    pub(crate) walk: Timing,
    pub(crate) ways: Vec<Way>,
    /// Ways that there are not, and why.
    pub(crate) missing: Vec<(PhysicalAccess, String)>,
    /// QEMU's own answer over the same port.
    pub(crate) info_mem: Option<Timing>,
    /// gdb-pt-dump in gdb, without gdb's own start.
    pub(crate) pt_dump: Option<Timing>,
}

/// Measures a guest with so many scattered leaves.
pub(crate) fn measure(
    leaves: usize,
    runs: Runs,
    with_info_mem: bool,
    pt_dump: Option<&Path>,
) -> Result<Live, Trouble> {
    let machine = Machine::with_tables(&scattered(leaves))?;
    let port = machine.port();
    let target = machine.connect(&port)?;
    let satp = target.description().register("satp");
    let number = satp.ok_or("QEMU's description has no satp")?.number;
    target_gone(target)?;
    let root = PhysPage::from_truncated(ROOT / 4096);
    let satp = Satp::new(TranslationMode::Sv39, 0, root).bits();
    set_satp(&port, u64::from(number), satp)?;

    // Before and after, so that neither has the warmer machine.
    let mut bare = bare(&port, leaves, runs)?;
    let mut target = machine.connect(&port)?;
    target.choose_way(PhysicalAccess::GdbPort)?;
    let walk = walk(&mut target, leaves, runs)?;
    let (ways, missing) = ways(&mut target, leaves, runs)?;
    let info_mem = match with_info_mem {
        true => Some(info_mem(&mut target, leaves, runs)?),
        false => None,
    };
    target_gone(target)?;
    bare.extend(self::bare(&port, leaves, runs)?);
    let pt_dump = pt_dump.map(|path| gdb_pt_dump(&port, path)).transpose()?;
    Ok(Live {
        leaves,
        tables: tables_of(leaves),
        bare: Timing::of(bare),
        walk,
        ways,
        missing,
        info_mem,
        pt_dump,
    })
}

fn target_gone(target: GdbTarget) -> Result<(), Trouble> {
    Ok(Box::new(target).detach()?)
}

fn frames(leaves: usize) -> Vec<PhysPage> {
    let first = ROOT / 4096;
    let frames = first..first + tables_of(leaves) as u64;
    frames.map(PhysPage::from_truncated).collect()
}

/// The tables' bytes over the bare link.
fn bare(port: &Path, leaves: usize, runs: Runs) -> Result<Vec<Duration>, Trouble> {
    let mut bare = Bare::connect(port)?;
    bare.ask("Qqemu.PhyMemMode:1")?;
    let frames = frames(leaves);
    let chunks = frames.iter().flat_map(|frame| {
        let start = frame.start().as_u64();
        [start, start + CHUNK_BYTES]
    });
    let addresses: Vec<u64> = chunks.collect();
    let mut times = Vec::new();
    let began = Instant::now();
    while times.len() < 3 || (times.len() < runs.most && began.elapsed() < runs.budget) {
        let start = Instant::now();
        let bytes = bare.read_all(&addresses)?;
        times.push(start.elapsed());
        assert_eq!(bytes, frames.len() * 4096);
    }
    bare.ask("Qqemu.PhyMemMode:0")?;
    Ok(times)
}

/// The same tables as a walk reads them.
fn walk(target: &mut GdbTarget, leaves: usize, runs: Runs) -> Result<Timing, Trouble> {
    use pagescope_protocol::walk::{Limits, TableReader, TableWords, walk_space};
    struct Port<'a>(&'a mut GdbTarget);
    impl TableReader for Port<'_> {
        type Error = pagescope::link::LinkError;
        fn read_tables(
            &mut self,
            frames: &[PhysPage],
        ) -> Result<Vec<Option<Arc<TableWords>>>, Self::Error> {
            self.0.read_frames(frames)
        }
    }
    let root = PhysPage::from_truncated(ROOT / 4096);
    let mut failed = None;
    let timing = runs.time(|| {
        let walk = walk_space(
            TranslationMode::Sv39,
            root,
            Limits::default(),
            &mut Port(target),
        );
        match walk {
            Ok(walk) => assert_eq!(walk.tables.len(), tables_of(leaves)),
            Err(error) => failed = Some(error),
        }
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(timing),
    }
}

type Missing = Vec<(PhysicalAccess, String)>;

fn ways(target: &mut GdbTarget, leaves: usize, runs: Runs) -> Result<(Vec<Way>, Missing), Trouble> {
    let mut measured = Vec::new();
    let mut missing = Vec::new();
    for offer in target.ways()? {
        if let Some(why) = offer.why_not {
            missing.push((offer.way, why));
            continue;
        }
        target.choose_way(offer.way)?;
        let (first, again) = captures(target, leaves, runs)?;
        measured.push(Way {
            way: offer.way,
            first,
            again,
        });
    }
    Ok((measured, missing))
}

/// First captures, and captures after one.
fn captures(
    target: &mut GdbTarget,
    leaves: usize,
    runs: Runs,
) -> Result<(Timing, Timing), Trouble> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while first.len() < 3 || (first.len() < runs.most && began.elapsed() < runs.budget) {
        let mut capturer = Capturer::new(target, None)?;
        for times in [&mut first, &mut again] {
            let start = Instant::now();
            let snapshot = capturer.capture(target, "bench")?;
            times.push(start.elapsed());
            check(&snapshot, leaves);
        }
    }
    Ok((Timing::of(first), Timing::of(again)))
}

fn check(snapshot: &Snapshot, leaves: usize) {
    let space = &snapshot.spaces[0];
    assert_eq!(space.mappings.len(), leaves, "the capture misses mappings");
}

/// QEMU's own list of the same space, through the same connection.
fn info_mem(target: &mut GdbTarget, leaves: usize, runs: Runs) -> Result<Timing, Trouble> {
    let mut lines = 0;
    let mut failed = None;
    let timing = runs.time(|| match target.monitor("info mem") {
        Ok(text) => lines = text.map_or(0, |text| text.lines().count()),
        Err(error) => failed = Some(error),
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    // A heading of two lines; where pages happen to go on, QEMU merges them as we do.
    assert!(
        lines >= leaves,
        "info mem has {lines} lines for {leaves} leaves"
    );
    Ok(timing)
}

/// gdb-pt-dump's `pt` in a gdb of its own, and the same gdb without it.
fn gdb_pt_dump(port: &Path, script: &Path) -> Result<Timing, Trouble> {
    let gdb = |command: &[&str]| -> Result<Duration, Trouble> {
        let mut line = Command::new("gdb-multiarch");
        line.args(["-nx", "-batch", "-ex", "set architecture riscv:rv64"]);
        line.args(["-ex", &format!("target remote {}", port.display())]);
        line.args(["-ex", &format!("source {}", script.display())]);
        line.args(command.iter().flat_map(|command| ["-ex", command]));
        let start = Instant::now();
        let output = line.stdin(Stdio::null()).output()?;
        let took = start.elapsed();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        if !command.is_empty() && text.lines().count() < 10 {
            return Err(format!("gdb-pt-dump shows no tables: {text}{errors}").into());
        }
        Ok(took)
    };
    let mut times = Vec::new();
    for _ in 0..3 {
        let without = gdb(&[])?;
        times.push(gdb(&["pt"])?.saturating_sub(without));
    }
    Ok(Timing::of(times))
}

/// The same guest of ours through QEMU's port and through its kernel's debug channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) tables: usize,
    pub(crate) port: Timing,
    pub(crate) channel: Timing,
}

/// Measures our kernel, freshly booted, over both.
pub(crate) fn channel(kernel: &[u8], runs: Runs) -> Result<Channel, Trouble> {
    let machine = Machine::with_kernel(kernel)?;
    // Until it has printed its banner it has no tables.
    let mut tables = 0;
    let began = Instant::now();
    let mut over = |socket: &Path| -> Result<Timing, Trouble> {
        let mut times = Vec::new();
        let mut target = machine.connect(socket)?;
        while times.len() < 3 || (times.len() < runs.most && began.elapsed() < runs.budget * 2) {
            let mut capturer = Capturer::new(&mut target, None)?;
            let start = Instant::now();
            let snapshot = capturer.capture(&mut target, "bench")?;
            times.push(start.elapsed());
            tables = snapshot.spaces.iter().map(|space| space.tables.len()).sum();
        }
        target_gone(target)?;
        Ok(Timing::of(times))
    };
    std::thread::sleep(Duration::from_secs(2));
    let channel = over(&machine.channel())?;
    let port = over(&machine.port())?;
    Ok(Channel {
        tables,
        port,
        channel,
    })
}
