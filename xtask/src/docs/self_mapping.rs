//! `docs/self-mapping.md`: the four strategies' pictures, lists and numbers.
//!
//! ```text
//!  for each strategy   pagescope demo --headless ─▶ layout.svg, snapshot.ron ─▶ pagescope check
//!                      QEMU with a clock that counts instructions ─▶ bench
//! ```
//!
//! Addresses in the pictures depend on how large the kernel's image is, and so on where the compiler's
//! sources lie; which is why nothing compares them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::document::{Document, verbatim};
use super::{pagescope, said, text};
use crate::command::{Line, root};
use crate::failure::Failure;

const STRATEGIES: [&str; 4] = ["pool", "self-leaf", "mirror", "demand"];

const DOCUMENT: &str = "docs/self-mapping.md";

/// A guard against a guest that hangs.
const BENCH_LIMIT: Duration = Duration::from_secs(120);

/// One line of what `bench` prints: what was done, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    what: String,
    cycles: u64,
    frames: u64,
    traps: u64,
}

/// What `bench` says of one strategy.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Bench {
    rows: Vec<Row>,
    /// Frames that became tables for a thousand scattered maps.
    scattered: u64,
    /// Cycles of each of these.
    scattered_cycles: u64,
    /// Pages handed out at boot.
    at_boot: u64,
}

/// Writes the document and its pictures again.
pub(super) fn draw() -> Result<(), Failure> {
    let folder = super::folder()?;
    let kernel = folder.join("kernel.elf");
    pagescope(&["kernel", "-o"]).args([text(&kernel)]).run()?;
    let mut document = Document::read(DOCUMENT)?;
    let mut benches = Vec::new();
    for strategy in STRATEGIES {
        let out = folder.join(strategy);
        pagescope(&["demo", "--headless", "--steps", "3", "--tables", strategy])
            .args(["--out".to_owned(), text(&out)])
            .run()?;
        let picture = format!("docs/self-mapping/{strategy}.svg");
        fs::copy(out.join("layout.svg"), root().join(&picture))
            .map_err(|error| Failure::new(format!("{picture}: {error}")))?;
        let check = pagescope(&["check"]).args([text(&out.join("snapshot.ron"))]);
        document.replace(&format!("check {strategy}"), &verbatim(&said(&check)?))?;
        let output = bench(&kernel, strategy)?;
        benches.push(read_bench(&output).ok_or_else(|| {
            Failure::new(format!("bench with tables={strategy} said:\n{output}"))
        })?);
    }
    document.replace("costs", &costs(&benches))?;
    document.write()?;
    eprintln!("wrote {DOCUMENT} and docs/self-mapping/*.svg");
    Ok(())
}

/// Boots the kernel for its bench; gives what it says.
fn bench(kernel: &Path, strategy: &str) -> Result<String, Failure> {
    let line = Line::new("qemu-system-riscv64 -machine virt -m 128M -bios none -display none")
        .args("-monitor none -serial stdio -icount shift=0 -kernel".split(' '))
        .args([text(kernel), "-append".to_owned()])
        .args([format!("tables={strategy} bench pace=0")]);
    let mut command: Command = line.command();
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guest = command.spawn().map_err(|error| line.not_started(&error))?;
    let begun = Instant::now();
    // It powers itself off; what it says fits into the pipe.
    while matches!(guest.try_wait(), Ok(None)) {
        if begun.elapsed() > BENCH_LIMIT {
            // Either way it is gone afterwards.
            let _ = guest.kill();
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = guest.wait_with_output();
    let output = output.map_err(|error| line.not_started(&error))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{line}` failed ({})", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `bench` printed; `None` where that is something else.
fn read_bench(output: &str) -> Option<Bench> {
    let number_after = |line: &str, words: &str| -> Option<u64> {
        let rest = line.split(words).nth(1)?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    };
    let mut bench = Bench::default();
    for line in output.lines() {
        if let Some(pages) = number_after(line, "heap counter ") {
            bench.at_boot = pages;
        }
        if line.contains("scattered maps:") {
            bench.scattered = number_after(line, "maps: ")?;
            bench.scattered_cycles = number_after(line, "tables, ")?;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [.., cycles, frames, traps] = words[..]
            && let (Ok(cycles), Ok(frames), Ok(traps)) =
                (cycles.parse(), frames.parse(), traps.parse())
        {
            bench.rows.push(Row {
                what: words[..words.len() - 3].join(" "),
                cycles,
                frames,
                traps,
            });
        }
    }
    (!bench.rows.is_empty() && bench.scattered > 0).then_some(bench)
}

/// The table of all strategies' costs.
fn costs(benches: &[Bench]) -> String {
    let mut lines = vec![
        format!("| | {} |", STRATEGIES.join(" | ")),
        format!("| --- |{}", " ---: |".repeat(STRATEGIES.len())),
    ];
    let mut line = |what: &str, cells: Vec<String>| {
        lines.push(format!("| {what} | {} |", cells.join(" | ")));
    };
    let of_all = |cell: &dyn Fn(&Bench) -> String| benches.iter().map(cell).collect::<Vec<_>>();
    let rows = benches.first().map_or(0, |bench| bench.rows.len());
    for index in 0..rows {
        let row = |bench: &Bench| bench.rows.get(index).cloned();
        let what = benches.first().and_then(&row).map(|row| row.what);
        let cells = of_all(&|bench| row(bench).map_or("–".into(), |row| described(&row)));
        line(&what.unwrap_or_default(), cells);
    }
    line(
        "one of 1,000 scattered maps, the reserve's refill included",
        of_all(&|bench| thousands(bench.scattered_cycles)),
    );
    line(
        "**frames for tables, for 1,000 scattered maps**",
        of_all(&|bench| format!("**{}**", thousands(bench.scattered))),
    );
    line(
        "pages handed out before S-mode starts",
        of_all(&|bench| bench.at_boot.to_string()),
    );
    lines.join("\n")
}

/// Instructions, and where there are any, frames and traps.
fn described(row: &Row) -> String {
    let mut text = thousands(row.cycles);
    let mut also = Vec::new();
    for (count, one, many) in [
        (row.frames, "frame", "frames"),
        (row.traps, "trap", "traps"),
    ] {
        match count {
            0 => {}
            1 => also.push(format!("1 {one}")),
            _ => also.push(format!("{count} {many}")),
        }
    }
    if !also.is_empty() {
        text.push_str(&format!(" ({})", also.join(", ")));
    }
    text
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
Pagescope: layout pseudos, tables mirror, heap counter 14; `help` lists the commands
bench tables=mirror: means of 32, the reserve full before each
                                      cycles  frames   traps
kalloc                                  2014       0       0
map 4K in a fresh GiB                  16073       3       2
1000 scattered maps: 1880 frames for tables, 9214 cycles each with the reserve's refill
  5 refused, addresses that the strategy keeps; unmapped again, 0 tables are left over
";

    #[test]
    fn what_bench_prints_is_read() {
        let bench = read_bench(OUTPUT).unwrap();
        assert_eq!((bench.at_boot, bench.scattered), (14, 1880));
        assert_eq!(bench.scattered_cycles, 9214);
        let row = &bench.rows[1];
        assert_eq!(row.what, "map 4K in a fresh GiB");
        assert_eq!(described(row), "16,073 (3 frames, 2 traps)");
        assert_eq!(described(&bench.rows[0]), "2,014");
        assert_eq!(read_bench("qemu: no such file"), None);
    }

    /// The document has a place for everything that is drawn.
    #[test]
    fn the_document_has_all_markers() {
        let mut document = Document::read(DOCUMENT).unwrap();
        for strategy in STRATEGIES {
            assert!(document.replace(&format!("check {strategy}"), "").is_ok());
            let picture = format!("(self-mapping/{strategy}.svg)");
            assert!(document.text().contains(&picture));
        }
        assert!(document.replace("costs", "").is_ok());
    }
}
