//! What was measured, as text: lines of ratios and of costs for each of what there is, and what is slower than it is
//! meant to be.

use pagescope::link::PhysicalAccess;

use crate::core::{Cost, HistoryCost, Unit, by_name};
use crate::live::{Channel, Live};
use crate::measure::{bytes_text, time_text};

/// Nanoseconds that an entry may take which is read, decoded and coalesced, empty ones included.
const MOST_NS_AN_ENTRY: f64 = 5.0;

/// Nanoseconds that a scattered leaf may take.
const MOST_NS_A_LEAF: f64 = 12.0;

/// How much more than in proportion a thing may grow from one size to the next and still be called linear: caches end
/// somewhere.
const MOST_GROWTH: f64 = 2.0;

/// What of the bare link's throughput a walk over it reaches at least.
const LEAST_OF_LINK: f64 = 0.8;

/// How often a mapped capture fits into QEMU's own answer at least.
const LEAST_TIMES_INFO_MEM: f64 = 20.0;

/// Spaces from which on what is there once does not count.
const LARGE: usize = 4096;

/// Prints as it goes, and remembers what was too slow.
#[derive(Debug, Default)]
pub(crate) struct Report {
    missed: Vec<String>,
    asked: usize,
}

impl Report {
    fn expect(&mut self, holds: bool, what: String) {
        self.asked += 1;
        if !holds {
            self.missed.push(what);
        }
    }

    /// What Pagescope itself costs, at each size.
    pub(crate) fn costs(&mut self, all: &[(usize, Vec<Cost>)]) {
        let sizes = all.iter().map(|(leaves, _)| format!("{leaves:>12}"));
        println!(
            "Without a guest: RAM is an array. Leaves of 4 KiB that lie scattered; in the line \"an entry\" a space as\n\
             most are, half empty, its pages beside each other\n"
        );
        println!(
            "{:<26} {:>10} {}   growth   spread",
            "",
            "leaves:",
            sizes.collect::<String>()
        );
        for (name, unit, costs) in by_name(all) {
            let each: Vec<f64> = costs
                .iter()
                .map(|cost| cost.timing.nanoseconds_each(cost.count))
                .collect();
            let cells: String = each.iter().map(|ns| format!("{:>12}", cell(*ns))).collect();
            let growth = growth(unit, all, &each);
            let spread = costs.iter().map(|cost| cost.timing.spread());
            let spread = spread.fold(0.0, f64::max) * 100.0;
            let shown =
                growth.map_or_else(|| "       -".into(), |growth| format!("{growth:>7.2}×"));
            println!(
                "{name:<26} {:>10} {cells} {shown} {spread:>7.0}%",
                unit.name()
            );
            if let Some(growth) = growth {
                let what = format!("{name}: grows {growth:.2} times as much as the space");
                self.expect(growth <= MOST_GROWTH, what);
            }
            let most = match (name, unit) {
                ("read, decode, coalesce", Unit::Entry) => Some(MOST_NS_AN_ENTRY),
                ("read, decode, coalesce", Unit::Leaf) => Some(MOST_NS_A_LEAF),
                _ => None,
            };
            if let Some(most) = most {
                for (cost, ns) in costs
                    .iter()
                    .zip(&each)
                    .filter(|(cost, _)| cost.count >= LARGE)
                {
                    let unit = unit.name();
                    let what = format!("{name}: {ns:.1} ns {unit} of {}, not {most}", cost.count);
                    self.expect(*ns <= most, what);
                }
            }
        }
        println!("\nMemory at its most while it is done, and what the result keeps\n");
        for (name, _, costs) in by_name(all) {
            if costs.iter().all(|cost| cost.memory.peak == 0) {
                continue;
            }
            let cells = costs.iter().map(|cost| {
                let (peak, kept) = (bytes_text(cost.memory.peak), bytes_text(cost.memory.kept));
                format!("{:>24}", format!("{peak} / {kept}"))
            });
            println!("{name:<26}{}", cells.collect::<String>());
        }
    }

    /// A history whose steps change one page.
    pub(crate) fn history(&mut self, leaves: usize, cost: &HistoryCost) {
        let each = (cost.all - cost.first) / cost.steps;
        println!(
            "\nA history of {} steps, each of which changes one page of {leaves}:\n\
             the first moment {}, each further one {} ({:.1} % of the first), all {}; a step takes {}",
            cost.steps,
            bytes_text(cost.first),
            bytes_text(each),
            each as f64 / cost.first as f64 * 100.0,
            bytes_text(cost.all),
            time_text(cost.step.seconds()),
        );
    }

    /// A guest in QEMU.
    pub(crate) fn live(&mut self, live: &Live) {
        println!(
            "\nA guest in QEMU with {} leaves in {} tables, {} KiB of them",
            live.leaves,
            live.tables,
            live.tables * 4
        );
        let bare = live.bare.seconds();
        let line = |what: &str, seconds: f64, ratio: String| {
            println!("  {what:<44} {:>10}   {ratio}", time_text(seconds));
        };
        line("the tables over the bare link", bare, "1".into());
        let walk = live.walk.seconds();
        let of_link = bare / walk;
        line(
            "a walk over the gdb port",
            walk,
            format!("{:.0} % of the bare link's throughput", of_link * 100.0),
        );
        if live.tables >= 70 {
            let what = format!(
                "the walk of {} tables: {of_link:.2} of the bare link",
                live.tables
            );
            self.expect(of_link >= LEAST_OF_LINK, what);
        }
        for way in &live.ways {
            let (first, again) = (way.first.seconds(), way.again.seconds());
            let times = |seconds: f64| format!("{:.1} × as fast as the bare link", bare / seconds);
            line(
                &format!("a first capture: {}", way.way),
                first,
                times(first),
            );
            line(
                &format!("the next capture: {}", way.way),
                again,
                times(again),
            );
        }
        for (way, why) in &live.missing {
            println!("  no {way}: {why}");
        }
        let mapped = live
            .ways
            .iter()
            .find(|way| way.way == PhysicalAccess::MappedRam);
        for (what, other, least) in [
            (
                "QEMU's info mem",
                &live.info_mem,
                Some(LEAST_TIMES_INFO_MEM),
            ),
            ("gdb-pt-dump", &live.pt_dump, None),
        ] {
            let Some(other) = other else { continue };
            let seconds = other.seconds();
            line(
                what,
                seconds,
                format!("{:.1} × the bare link", seconds / bare),
            );
            for way in &live.ways {
                let times = seconds / way.first.seconds();
                println!("    a first capture by {}: {times:.0} × as fast", way.way);
            }
            if let (Some(least), Some(mapped), true) = (least, mapped, live.tables == 70) {
                let times = seconds / mapped.first.seconds();
                let what = format!("70 tables: {times:.1} times as fast as info mem, not {least}");
                self.expect(times >= least, what);
            }
        }
    }

    /// Our kernel over QEMU's port and its own channel.
    pub(crate) fn channel(&mut self, cost: &Channel) {
        let (port, channel) = (cost.port.seconds(), cost.channel.seconds());
        println!(
            "\nOur kernel with {} tables: a capture over QEMU's port {}, over its debug channel {} ({:.1} × as long)",
            cost.tables,
            time_text(port),
            time_text(channel),
            channel / port
        );
    }

    /// Prints what was missed; whether nothing was.
    pub(crate) fn verdict(&self) -> bool {
        println!();
        for missed in &self.missed {
            println!("too slow: {missed}");
        }
        println!(
            "{} of {} expectations are met",
            self.asked - self.missed.len(),
            self.asked
        );
        self.missed.is_empty()
    }
}

fn cell(ns: f64) -> String {
    match ns {
        ns if ns < 1e4 => format!("{ns:.1} ns"),
        ns => time_text(ns / 1e9),
    }
}

/// How much more than in proportion the cost grows between the two largest sizes; 1 is linear. `None` where it is not
/// meant to be, or there is no second size.
fn growth(unit: Unit, all: &[(usize, Vec<Cost>)], each: &[f64]) -> Option<f64> {
    let [.., smaller, larger] = each else {
        return None;
    };
    if unit == Unit::Whole {
        let [.., (fewer, _), (more, _)] = all else {
            return None;
        };
        return Some(larger / smaller * (*fewer as f64) / (*more as f64));
    }
    Some(larger / smaller)
}
