//! What following costs a guest: a counter that it increments in a tight loop, with following off and on in
//! turns, within one run.
//!
//! ```text
//!   off │ on │ off │ on │ off …        each window: how far the counter came
//!    └─── a pair: on against the off beside it ───┘        the median of all pairs
//! ```
//!
//! The guest is layout `process` of our kernel with the program `spin`, and the counter is the word of its
//! memory that rises fastest. Two figures, because other work on the machine takes more of its time away than
//! following does:
//! - for each second of the clock, which includes what other work takes away, and so does its spread;
//! - for each second that the hart's thread ran or was held up by QEMU's lock: of the clock without the time in which it
//!   was ready and other work ran (`/proc/PID/task/TID/schedstat`, second number).
//!
//! `cargo xtask bench follow [HZ] [PAIRS] [MILLISECONDS]` builds it optimised; it prints a table and one line of JSON.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::capture::settle::ATTEMPTS;
use pagescope::link::{Cancel, Guest, Launch, MonitorTarget, Target as _};
use pagescope::session::follow::Follow;
use pagescope::session::{Rate, Watch};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A guard against a guest that hangs.
const HANG_GUARD: Duration = Duration::from_secs(60);

fn main() -> Outcome<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let mut number = |default| numbers.next().transpose().map(|n| n.unwrap_or(default));
    let (hz, pairs, milliseconds) = (number(30)?, number(20)?, number(1000)?);
    let rate = Rate::from_hz(hz).ok_or("the rate is from 1 to 60")?;
    let window = Duration::from_millis(milliseconds.into());

    let guest = boot()?;
    let watch = Watch::of(&guest).ok_or("there was no room for its RAM in a file")?;
    let mut target = watch.connect(&Cancel::new())?;
    let mut capturer = Capturer::new(&mut target, None)?;
    let snapshot = spinning(&mut target, &mut capturer)?;
    let counter = fastest_word(&mut target, &snapshot)?;
    let hart = hart_thread(guest.pid())?;
    println!(
        "following at {rate}, {pairs} pairs of windows of {window:?}; the counter is at {counter}"
    );

    let mut measure = |on: bool| -> Outcome<Window> {
        let mut follow = Follow::new(rate, Instant::now());
        let before = Mark::now(&mut target, counter, &hart)?;
        while before.at.elapsed() < window {
            let wait = match on {
                true => follow.wait(Instant::now()),
                false => window,
            };
            thread::sleep(wait.min(window.saturating_sub(before.at.elapsed())));
            if on && before.at.elapsed() < window {
                follow.begin(Instant::now());
                let seen = capturer.capture_running(&mut target, ATTEMPTS, &Cancel::new())?;
                follow.end(&seen, Instant::now());
            }
        }
        let after = Mark::now(&mut target, counter, &hart)?;
        Ok(Window::between(&before, &after, follow.report().looks))
    };
    measure(true)?;
    let mut windows = vec![measure(false)?];
    for _ in 0..pairs {
        windows.push(measure(true)?);
        windows.push(measure(false)?);
    }
    report(hz, &windows);
    Ok(())
}

/// Our kernel, layout `process`, with the program `spin`.
fn boot() -> Outcome<Guest> {
    let folder = tempfile::tempdir()?;
    let elf = folder.path().join("kernel.elf");
    let program = std::env::current_exe()?;
    // target/PROFILE/examples/follow_cost, beside the program itself where that was built.
    let program = program
        .ancestors()
        .map(|folder| folder.join("pagescope"))
        .find(|path| path.is_file())
        .ok_or("build the program first: cargo build --release -p pagescope")?;
    let wrote = Command::new(program)
        .args(["kernel", "--layout", "process", "-o"])
        .arg(&elf)
        .output()?;
    if !wrote.status.success() {
        return Err(String::from_utf8_lossy(&wrote.stderr).into_owned().into());
    }
    let kernel = fs::read(&elf)?;
    let mut launch = Launch::new(&kernel);
    launch.append = "layout=process pace=0".into();
    launch.stopped = false;
    let guest = launch.start()?;
    let mut console = guest.connect_console()?;
    console.set_read_timeout(Some(Duration::from_millis(200)))?;
    let until = Instant::now() + HANG_GUARD;
    let mut said = Vec::new();
    let mut buffer = [0; 256];
    while !said.ends_with(b"> ") {
        if Instant::now() > until {
            return Err("the kernel shows no prompt".into());
        }
        match console.read(&mut buffer) {
            Ok(count) => said.extend_from_slice(&buffer[..count]),
            Err(_) => console.write_all(b"\n")?,
        }
    }
    console.write_all(b"spawn spin\n")?;
    console.set_read_timeout(None)?;
    // A console that nobody reads holds its guest up.
    thread::spawn(move || std::io::copy(&mut console, &mut std::io::sink()));
    Ok(guest)
}

/// A moment at which the process `spin` is there.
fn spinning(target: &mut MonitorTarget, capturer: &mut Capturer) -> Outcome<Arc<Snapshot>> {
    let until = Instant::now() + HANG_GUARD;
    loop {
        let snapshot = capturer.capture_running(target, ATTEMPTS, &Cancel::new())?;
        if snapshot
            .spaces
            .iter()
            .any(|space| space.name.contains("spin"))
        {
            return Ok(snapshot);
        }
        if Instant::now() > until {
            let names: Vec<&str> = snapshot.spaces.iter().map(|s| s.name.as_str()).collect();
            return Err(format!("there is no process spin; there are {names:?}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Where the word of the process's writable memory lies that rises fastest.
fn fastest_word(target: &mut MonitorTarget, snapshot: &Snapshot) -> Outcome<PhysAddr> {
    let spaces = snapshot.spaces.iter().filter(|s| s.name.contains("spin"));
    let pages: Vec<PhysRange> = spaces
        .flat_map(|space| &space.mappings)
        .filter(|mapping| {
            let flags = mapping.flags.to_string();
            flags.contains('w') && flags.contains('u') && mapping.size <= 64 * PAGE_SIZE
        })
        .filter_map(|mapping| PhysRange::new(mapping.phys, mapping.size))
        .collect();
    let before = target.read_physical(&pages)?;
    thread::sleep(Duration::from_millis(200));
    let after = target.read_physical(&pages)?;
    let mut fastest = None;
    for ((page, before), after) in pages.iter().zip(&before).zip(&after) {
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let words = before
            .as_chunks::<8>()
            .0
            .iter()
            .zip(after.as_chunks::<8>().0);
        for (place, (before, after)) in words.enumerate() {
            let risen = u64::from_le_bytes(*after).wrapping_sub(u64::from_le_bytes(*before));
            let is_counter = (10_000..1 << 40).contains(&risen);
            if is_counter && fastest.is_none_or(|(most, _)| risen > most) {
                fastest = Some((risen, page.start().wrapping_add(place as u64 * 8)));
            }
        }
    }
    fastest
        .map(|(_, at)| at)
        .ok_or_else(|| "no word of the process `spin` rises".into())
}

/// The busiest of QEMU's threads, in /proc: that of the hart which spins. Threads have no names of their own unless
/// QEMU was told to give them some.
fn hart_thread(pid: u32) -> Outcome<PathBuf> {
    let ran = || -> Outcome<BTreeMap<PathBuf, u64>> {
        let mut ran = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let stat = task?.path().join("schedstat");
            let (time, _) = times_of(&stat)?;
            ran.insert(stat, time);
        }
        Ok(ran)
    };
    let before = ran()?;
    thread::sleep(Duration::from_millis(300));
    let after = ran()?.into_iter();
    let risen = after.map(|(stat, time)| (time - before.get(&stat).unwrap_or(&time), stat));
    let (_, busiest) = risen.max().ok_or("QEMU has no thread")?;
    Ok(busiest)
}

/// How long a thread has run, and how long it was ready while others ran, in nanoseconds
/// (`Documentation/scheduler/sched-stats.rst`).
fn times_of(stat: &Path) -> Outcome<(u64, u64)> {
    let text = fs::read_to_string(stat)?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(ran)), Some(Ok(waited))) => Ok((ran, waited)),
        _ => Err(format!("{} has no times", stat.display()).into()),
    }
}

/// The counter, at a time.
struct Mark {
    at: Instant,
    counter: u64,
    /// How long the hart's thread has been ready while others ran.
    waited: Duration,
}

impl Mark {
    fn now(target: &mut MonitorTarget, counter: PhysAddr, hart: &Path) -> Outcome<Self> {
        let word = PhysRange::new(counter, 8).ok_or("the counter is nowhere")?;
        let (_, waited) = times_of(hart)?;
        let at = Instant::now();
        let bytes = target
            .read_physical(&[word])?
            .remove(0)
            .ok_or("no counter")?;
        Ok(Self {
            at,
            counter: u64::from_le_bytes(bytes.as_slice().try_into()?),
            waited: Duration::from_nanos(waited),
        })
    }
}

/// How fast the guest counted.
struct Window {
    per_second: f64,
    per_own_second: f64,
    looks: u64,
}

impl Window {
    fn between(before: &Mark, after: &Mark, looks: u64) -> Self {
        let counted = after.counter.wrapping_sub(before.counter) as f64;
        let clock = after.at - before.at;
        let own = clock.saturating_sub(after.waited.saturating_sub(before.waited));
        Self {
            per_second: counted / clock.as_secs_f64(),
            per_own_second: counted / own.as_secs_f64(),
            looks,
        }
    }
}

/// The windows are off, on, off, on, …, off: each on is held against the mean of the offs beside it.
fn report(hz: u32, windows: &[Window]) {
    let slower = |figure: fn(&Window) -> f64| -> Vec<f64> {
        let pairs = windows.windows(3).step_by(2);
        let mut slower: Vec<f64> = pairs
            .map(|w| 100.0 * (1.0 - figure(&w[1]) / ((figure(&w[0]) + figure(&w[2])) / 2.0)))
            .collect();
        slower.sort_by(f64::total_cmp);
        slower
    };
    let clock = slower(|window| window.per_second);
    let own = slower(|window| window.per_own_second);
    let at =
        |sorted: &[f64], part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    println!(
        "{:34} {:>8} {:>8} {:>8}",
        "slower by, in %", "median", "quartile", "quartile"
    );
    for (name, sorted) in [
        ("for each second of the clock", &clock),
        ("without what other work took away", &own),
    ] {
        println!(
            "{name:34} {:>8.2} {:>8.2} {:>8.2}",
            at(sorted, 0.5),
            at(sorted, 0.25),
            at(sorted, 0.75)
        );
    }
    let looks: u64 = windows.iter().map(|window| window.looks).sum();
    let counted = windows[0].per_second / 1e6;
    println!("{looks} looks; the guest counts {counted:.1} million a second");
    println!(
        "{{\"hz\": {hz}, \"looks\": {looks}, \"slower_percent_clock\": {:.3}, \"slower_percent_own\": {:.3}}}",
        at(&clock, 0.5),
        at(&own, 0.5)
    );
}
