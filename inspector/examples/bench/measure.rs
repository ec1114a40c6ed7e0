//! How long something takes: the median of several runs, and how far they lie apart.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Some runs of the same thing.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// In order, the shortest first.
    runs: Vec<Duration>,
}

impl Timing {
    /// What took these times; at least one.
    pub(crate) fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort_unstable();
        Self { runs }
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> Duration {
        self.runs
            .get(self.runs.len() / 2)
            .copied()
            .unwrap_or_default()
    }

    /// Its seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.median().as_secs_f64()
    }

    /// The median's nanoseconds for each of `count`.
    pub(crate) fn nanoseconds_each(&self, count: usize) -> f64 {
        self.seconds() * 1e9 / count.max(1) as f64
    }

    /// How much longer the longest took than the shortest, in parts of the median.
    pub(crate) fn spread(&self) -> f64 {
        let (first, last) = (self.runs.first(), self.runs.last());
        let apart = first.zip(last).map(|(first, last)| *last - *first);
        apart.unwrap_or_default().as_secs_f64() / self.seconds().max(1e-9)
    }
}

/// How often, and on what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    /// Runs of what is quick.
    pub(crate) most: usize,
    /// After this long no further run is begun, but there are three at least.
    pub(crate) budget: Duration,
}

impl Runs {
    /// Times `does`, which is given what `prepare` makes anew for each run. Neither making that nor dropping the
    /// result is counted.
    pub(crate) fn prepared<P, T>(
        self,
        mut prepare: impl FnMut() -> P,
        mut does: impl FnMut(P) -> T,
    ) -> Timing {
        let began = Instant::now();
        let mut runs = Vec::new();
        while runs.len() < 3 || (runs.len() < self.most && began.elapsed() < self.budget) {
            let prepared = prepare();
            let start = Instant::now();
            let result = black_box(does(black_box(prepared)));
            runs.push(start.elapsed());
            drop(result);
        }
        Timing::of(runs)
    }

    /// Times `does`.
    pub(crate) fn time<T>(self, mut does: impl FnMut() -> T) -> Timing {
        self.prepared(|| (), |()| does())
    }
}

/// A time as a person reads it.
pub(crate) fn time_text(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Bytes as a person reads them.
pub(crate) fn bytes_text(bytes: usize) -> String {
    match bytes {
        b if b < 10 << 10 => format!("{b} B"),
        b if b < 10 << 20 => format!("{} KiB", b >> 10),
        b => format!("{} MiB", b >> 20),
    }
}
