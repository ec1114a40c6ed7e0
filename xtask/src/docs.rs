//! `cargo xtask docs`: draws the documents' pictures, lists and numbers again, from live guests.
//!
//! ```text
//!  for each strategy   pagescope demo --headless ─▶ layout.svg, snapshot.ron ─▶ pagescope check
//!                      QEMU with a clock that counts instructions ─▶ bench
//!  docs/self-mapping.md, between its markers
//! ```
//!
//! The text around the markers is written by people. Addresses in the pictures depend on how large
//! the kernel's image is, and so on where the compiler's sources lie; which is why nothing compares
//! them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{Line, root};
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

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

/// Installs, builds, and writes everything again.
pub(crate) fn run() -> Result<(), Failure> {
    install::kernel_target()?;
    install::system(&[Work::Guest])?;
    Line::new("cargo build --package pagescope").run()?;
    let folder = root().join("target/docs");
    let file = |error| Failure::new(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(file)?;
    let kernel = folder.join("kernel.elf");
    pagescope(&["kernel", "-o"]).args([text(&kernel)]).run()?;
    let path = root().join(DOCUMENT);
    let mut document = read(&path)?;
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
        let found = check.output();
        let found = found.ok_or_else(|| Failure::new(format!("`{check}` failed")))?;
        let list = format!("```text\n{}\n```", found.trim_end());
        document = replaced(&document, &format!("check {strategy}"), &list)?;
        let output = bench(&kernel, strategy)?;
        benches.push(read_bench(&output).ok_or_else(|| {
            Failure::new(format!("bench with tables={strategy} said:\n{output}"))
        })?);
    }
    document = replaced(&document, "costs", &costs(&benches))?;
    fs::write(&path, document)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    eprintln!("wrote {DOCUMENT} and docs/self-mapping/*.svg");
    Ok(())
}

/// The program, as it was just built.
fn pagescope(words: &[&str]) -> Line {
    Line::new("target/debug/pagescope").args(words)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
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

/// `document` with what lies between the markers of `name` replaced.
fn replaced(document: &str, name: &str, by: &str) -> Result<String, Failure> {
    const END: &str = "<!-- end -->";
    let begin = format!("<!-- begin {name} -->");
    let missing = || {
        Failure::new(format!(
            "{DOCUMENT} has no `{begin}` with an `{END}` after it"
        ))
    };
    let (before, rest) = document.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n{by}\n{END}{after}"))
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

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let document = "a\n<!-- begin x -->\nold\n<!-- end -->\nb <!-- end -->";
        let new = replaced(document, "x", "new").unwrap();
        assert_eq!(
            new,
            "a\n<!-- begin x -->\nnew\n<!-- end -->\nb <!-- end -->"
        );
        assert_eq!(replaced(&new, "x", "new").unwrap(), new);
        assert!(replaced(document, "y", "new").is_err());
    }

    /// The document has a place for everything that is drawn.
    #[test]
    fn the_document_has_all_markers() {
        let document = read(&root().join(DOCUMENT)).unwrap();
        for strategy in STRATEGIES {
            assert!(replaced(&document, &format!("check {strategy}"), "").is_ok());
            assert!(document.contains(&format!("(self-mapping/{strategy}.svg)")));
        }
        assert!(replaced(&document, "costs", "").is_ok());
    }
}
