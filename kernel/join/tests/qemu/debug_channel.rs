//! The debug channel: gdb itself, and a client of the test's own, on the kernel's UART.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::machine::line::Line;
use crate::machine::{address_of, kernel};

/// How the tables are reached: each of these, as `tables=` says it.
const STRATEGIES: [&str; 4] = ["pool", "self-leaf", "mirror", "demand"];

/// Longer than any of this takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A machine whose UART is a socket; ended when this is dropped.
struct Guest {
    child: Child,
    socket: PathBuf,
}

impl Guest {
    fn boot(name: &str, command_line: &str) -> Self {
        // A socket's path has at most 107 bytes, which a build directory's may exceed.
        let file = format!("pagescope-{}-{name}.socket", std::process::id());
        let socket = std::env::temp_dir().join(file);
        let child = Command::new("qemu-system-riscv64")
            .args([
                "-machine", "virt", "-m", "128M", "-bios", "none", "-smp", "4",
            ])
            .arg("-kernel")
            .arg(kernel())
            .args(["-append", command_line])
            .args(["-display", "none", "-monitor", "none", "-serial"])
            .arg(format!("unix:{},server=on,wait=on", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("qemu-system-riscv64: {error}; `cargo xtask test` installs it")
            });
        Self { child, socket }
    }

    fn connect(&self) -> Line {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => return Line::new(stream, deadline),
                Err(error) if Instant::now() > deadline => panic!("{error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// A gdb that runs these commands, and is then at its end.
    fn gdb(&self, commands: &[&str]) -> String {
        let output = self.start_gdb(commands).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}\n{complained}");
        said + &complained
    }

    fn start_gdb(&self, commands: &[&str]) -> Child {
        let mut gdb = Command::new("gdb-multiarch");
        gdb.args(["-nx", "-batch"])
            .args(["-ex", "set pagination off", "-ex", "set confirm off"])
            .args(["-ex", "set language c", "-ex", "set remotetimeout 60"])
            .arg("-ex")
            .arg(format!("target remote {}", self.socket.display()));
        for command in commands {
            gdb.args(["-ex", command]);
        }
        gdb.arg(kernel())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("gdb-multiarch: {error}; `cargo xtask test` installs it")
            })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn each_strategy(test: impl Fn(&str)) {
    for strategy in STRATEGIES {
        test(strategy);
    }
}

/// What stands after `label` on its line, as a number.
fn number_after(label: &str, text: &str) -> u64 {
    let line = text.lines().find(|line| line.contains(label));
    let rest = line.and_then(|line| line.split(label).nth(1)).expect(text);
    let word = rest.split_whitespace().next().expect(text);
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).expect(text),
        None => word.parse().expect(text),
    }
}

/// While it boots, and at its kalloc; the guest goes on each time.
#[test]
fn gdb_debugs_every_layout() {
    for (layout, space) in [
        ("hypervisor", "hart 3 "),
        ("process", "process 3 grow "),
        ("nanos", "kernel "),
    ] {
        let guest = Guest::boot(
            &format!("layout-{layout}"),
            &format!("layout={layout} pace=20"),
        );
        // QEMU waits for somebody to connect: this is the machine's very beginning, with its first words
        // on the line.
        let said = guest.gdb(&["info threads", "detach"]);
        assert!(
            said.contains("hart 0, ") && said.contains("detached"),
            "{layout}: {said}"
        );
        let mut person = guest.connect();
        person.send(b"\r");
        person.expect("\n> ");
        drop(person);
        let kalloc = format!("(long)&'{layout}.kalloc'");
        let said = guest.gdb(&[
            &format!("break *{kalloc}"),
            "continue",
            &format!("printf \"at kalloc: %d\\n\", $pc == {kalloc}"),
            "printf \"mode %d\\n\", ((unsigned long)$satp) >> 60",
            "monitor layout",
            "monitor spaces",
            "monitor regions",
            "monitor tables",
            "delete",
            "detach",
        ]);
        for part in [
            "at kalloc: 1\n",
            "mode 8\n",
            &format!("layout {layout}, tables "),
            space,
            "  .text",
            " tables\n",
            "detached",
        ] {
            assert!(said.contains(part), "{layout}: no {part:?} in: {said}");
        }
        let mut person = guest.connect();
        person.send(b"\r");
        person.expect("\n> ");
    }
}

#[test]
fn gdb_debugs_the_kernel() {
    each_strategy(|strategy| {
        let guest = Guest::boot(
            &format!("gdb-{strategy}"),
            &format!("pace=50 tables={strategy}"),
        );
        let mut person = guest.connect();
        person.expect("\n> ");
        drop(person);

        let said = guest.gdb(&[
            "info threads",
            "break kalloc",
            "continue",
            "backtrace",
            "stepi",
            "stepi",
            "printf \"in %d\\n\", $pc == &kalloc + 4 || $pc > (long)&kalloc",
            "finish",
            "printf \"PAGE= %#lx\\n\", $a0",
            "continue",
            "finish",
            "printf \"NEXT= %#lx\\n\", $a0",
            "printf \"priv %d\\n\", $priv",
            "printf \"mode %d\\n\", ((unsigned long)$satp) >> 60",
            "set var *(unsigned long *)$a0 = 0x1122334455667788",
            "printf \"word %#lx\\n\", *(unsigned long *)$a0",
            "set $saved = $s5",
            "set $s5 = 0x55aa",
            "printf \"s5 %#lx\\n\", $s5",
            "set $s5 = $saved",
            "monitor heap",
            "monitor kalloc",
            "monitor heap",
            "monitor layout",
            "monitor regions",
            "monitor tables",
            "monitor translate 0x80200000",
            "monitor help",
            "monitor nonsense",
            "monitor physical on",
            "printf \"pointer %#lx\\n\", *(unsigned long *)0x80000008",
            "monitor physical off",
            "info breakpoints",
            "delete",
            "detach",
        ]);
        for thread in [
            "hart 0, S-mode",
            "hart 1, M-mode",
            "hart 2, M-mode",
            "hart 3, M-mode",
        ] {
            assert!(said.contains(thread), "{thread}: {said}");
        }
        assert!(said.contains("hit Breakpoint 1, kalloc"), "{said}");
        assert!(
            said.contains("run () at") && said.contains("in _start ()"),
            "{said}"
        );
        assert!(said.contains("in 1\n"), "{said}");
        let (page, next) = (number_after("PAGE= ", &said), number_after("NEXT= ", &said));
        assert_eq!(next, page - 4096, "{said}");
        assert!(
            said.contains("priv 1\n") && said.contains("mode 8\n"),
            "{said}"
        );
        assert!(said.contains("word 0x1122334455667788\n"), "{said}");
        assert!(said.contains("s5 0x55aa\n"), "{said}");
        assert_eq!(number_after("kalloc() = ", &said), next - 4096, "{said}");
        let heaps: Vec<&str> = said.split("heap counter ").skip(1).collect();
        let count = |text: &str| {
            text.split_whitespace()
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        assert_eq!(count(heaps[1]), count(heaps[0]) + 1, "{said}");
        assert!(
            said.contains(&format!("layout pseudos, tables {strategy}")),
            "{said}"
        );
        assert!(
            said.contains("machine program") && said.contains("L2 0x"),
            "{said}"
        );
        assert!(said.contains("0x80200000 -> 0x80200000"), "{said}");
        assert!(
            said.contains("translate ADDRESS") && said.contains("no such command"),
            "{said}"
        );
        assert!(said.contains(&format!(
            "pointer {:#x}\n",
            u64::from_le_bytes(*b"PAGEINFO")
        )));
        assert!(said.contains("breakpoint already hit 2 times"), "{said}");

        // The console is a person's again, with nothing left over from gdb.
        let mut person = guest.connect();
        let answer = person.ask("heap");
        assert!(answer.contains("heap counter"), "{answer}");
        assert!(!answer.contains("no command"), "{answer}");
        drop(person);

        // And gdb's again. This one is killed while the guest runs, at a breakpoint to come.
        let mut killed = guest.start_gdb(&["break kfree", "continue"]);
        std::thread::sleep(Duration::from_secs(3));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let said = guest.gdb(&["info threads", "break kalloc", "continue", "detach"]);
        assert!(said.contains("hit Breakpoint 1, kalloc"), "{said}");
        assert!(guest.connect().ask("heap").contains("heap counter"));
    });
}

#[test]
fn a_client_that_vanishes_leaves_a_kernel_that_can_be_attached_to() {
    each_strategy(|strategy| {
        let guest = Guest::boot(
            &format!("gone-{strategy}"),
            &format!("pace=0 tables={strategy}"),
        );
        let mut line = guest.connect();
        line.expect("\n> ");

        // What is no packet after all is the console's.
        assert!(line.ask("a$b+c").contains("no command `a$b+c`"));
        assert!(line.ask("$heap#00").contains("no command `$heap#00`"));

        // Stopped, and gone: it stays stopped. With a breakpoint, which is not in memory.
        let kalloc = address_of("kalloc");
        assert!(line.packet("qSupported:swbreak+").contains("PacketSize="));
        let code = line.packet(&format!("m{kalloc:x},4"));
        assert_eq!(line.packet(&format!("Z0,{kalloc:x},2")), "OK");
        assert_eq!(line.packet(&format!("m{kalloc:x},4")), code);
        drop(line);
        let mut line = guest.connect();
        line.send(b"heap\n");
        assert!(line.packet("qSupported").contains("PacketSize="));
        assert_eq!(line.packet(&format!("m{kalloc:x},4")), code);
        // The breakpoint is gone with who set it: kalloc runs.
        assert_eq!(line.packet("D"), "OK");
        assert!(line.ask("kalloc").contains(") = 0x87ff"));

        // Running under a debugger, and gone: a person who types a line has the console.
        assert!(line.packet("qSupported").contains("PacketSize="));
        assert_eq!(line.packet(&format!("Z0,{kalloc:x},2")), "OK");
        line.start("vCont;c");
        // What has not been heard when the line is closed is lost.
        line.expect("+");
        drop(line);
        let mut line = guest.connect();
        assert!(line.ask("kalloc").contains(") = 0x87f"));

        // Ctrl-C at the console, by a person.
        line.send(b"\x03");
        line.expect("press Enter to go on");
        line.send(b"\n");
        assert!(line.ask("heap").contains("heap counter"));

        // Ctrl-C of a debugger, while the guest waits in wfi; output comes in packets meanwhile.
        assert!(line.packet("qSupported").contains("PacketSize="));
        line.start("vCont;c");
        line.expect("+");
        line.send(b"\x03");
        assert!(line.stop().starts_with("T02"), "an interrupt");
        // Another client, which never says qSupported, while the guest runs.
        line.start("c");
        assert_eq!(line.packet("qAttached"), "1");
        assert_eq!(line.packet("D"), "OK");
        assert!(line.ask("heap").contains("heap counter"));
    });
}

#[test]
fn bad_packets_are_answered_with_errors() {
    let guest = Guest::boot("bad", "pace=0");
    let mut line = guest.connect();
    line.expect("\n> ");
    assert!(line.packet("qSupported").contains("PacketSize="));
    assert_eq!(line.packet("Hg1"), "OK");
    let satp = line.packet("p1c1");
    for (packet, answer) in [
        // Unmapped, a device, the machine program through tables that do not map it.
        ("m0,8", "E0e"),
        ("m10000000,1", "E0e"),
        ("m80000000,8", "E0e"),
        ("M10000000,1:41", "E0e"),
        ("m80200000,ffffffffffffffff", "E16"),
        ("m80200000,ffffffffffffffffffffffff", "E16"),
        ("mfffffffffffffff8,10", "E0e"),
        ("m", "E16"),
        ("M80200000,4", "E16"),
        ("Hg9", "E03"),
        ("Hg-1", "E16"),
        ("p20zz", "E16"),
        ("P20=zz", "E16"),
        ("P1041=0000000000000000", "E01"),
        ("P20=00", "E16"),
        ("G00", "E16"),
        ("Z0,0,2", "E0e"),
        ("Z0,80000000,2", "E0e"),
        ("Z0,80200001,2", "E0e"),
        ("Z0,zz,2", "E16"),
        ("vCont", "E16"),
        ("vCont;s:9", "E16"),
        ("vCont;q", "E16"),
        ("qXfer:features:read:target.xml:zz,10", "E16"),
        ("no such packet", ""),
    ] {
        assert_eq!(line.packet(packet), answer, "{packet}");
        // Whatever it was, the thread that was selected is still selected.
        assert_eq!(line.packet("p1c1"), satp, "after {packet}");
    }
    line.send(b"$m80200000,4#00");
    line.expect("-");
    // Longer than any packet may be.
    let mut long = vec![b'$'];
    long.resize(40_000, b'a');
    long.extend(b"#00");
    line.send(&long);
    assert_eq!(line.answer(), "E16");
    for number in 0..64u32 {
        let address = 0x8020_0000 + 2 * number;
        assert_eq!(line.packet(&format!("Z0,{address:x},2")), "OK");
    }
    assert_eq!(line.packet("Z0,80200100,2"), "E1c");
    assert_eq!(line.packet("D"), "OK");
    assert!(line.ask("heap").contains("heap counter"));
}

/// A flood of bytes that nobody reads is dropped, and the guest goes on.
#[test]
fn a_flood_starves_nobody() {
    let guest = Guest::boot("flood", "pace=0");
    let mut line = guest.connect();
    line.expect("\n> ");
    line.send(&[b'x'; 100_000]);
    line.send(b"\n");
    line.expect("\n> ");
    assert!(line.ask("heap").contains("heap counter"));
}

/// Every hart steps alone, over whatever there is.
#[test]
fn stepping_goes_over_everything() {
    let guest = Guest::boot("step", "pace=20");
    let mut line = guest.connect();
    line.expect("\n> ");
    assert!(line.packet("qSupported").contains("PacketSize="));
    // Through the idle loop: ecalls, wfi, calls, returns, branches; the pc never stands still for
    // long, and the guest never gets away.
    let mut last = String::new();
    let mut stood = 0;
    for _ in 0..3000 {
        line.start("vCont;s:1;c");
        let stop = line.stop();
        assert!(stop.starts_with("T05thread:01"), "{stop}");
        let pc = line.packet("p20");
        stood = if pc == last { stood + 1 } else { 0 };
        assert!(stood < 3, "{pc}");
        last = pc;
    }
    // A hart that waits in the machine program is there, and does not step.
    assert_eq!(line.packet("Hg3"), "OK");
    assert_eq!(line.packet("p1041"), "0300000000000000");
    line.start("vCont;s:3");
    assert!(line.stop().starts_with("T05thread:03"));
    assert_eq!(line.packet("P20=0000000000000000"), "E01");
    assert_eq!(line.packet("D"), "OK");
    assert!(line.ask("heap").contains("heap counter"));
}

const ECALL: u32 = 0x0000_0073;
const EBREAK: u16 = 0x9002;

fn register(number: usize, value: u64) -> String {
    let digits: String = value
        .to_le_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("P{number:x}={digits}")
}

fn bytes(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// Anywhere in a call of kalloc, `monitor kalloc` hands out a page or says why not; and
/// the call ends as if nothing had been.
#[test]
fn monitor_kalloc_is_safe_anywhere() {
    each_strategy(|strategy| {
        let guest = Guest::boot(
            &format!("kalloc-{strategy}"),
            &format!("pace=20 tables={strategy}"),
        );
        let mut line = guest.connect();
        line.expect("\n> ");
        let kalloc = address_of("kalloc");
        assert!(line.packet("qSupported").contains("PacketSize="));
        let monitor = |line: &mut Line| {
            let said = line.packet("qRcmd,6b616c6c6f63");
            let said = String::from_utf8(bytes(said.strip_prefix('O').unwrap())).unwrap();
            assert_eq!(line.answer(), "OK");
            said
        };
        assert_eq!(line.packet(&format!("Z0,{kalloc:x},2")), "OK");
        line.start("vCont;c");
        assert!(line.stop().starts_with("T05thread:01;swbreak"));
        assert_eq!(line.packet(&format!("z0,{kalloc:x},2")), "OK");
        let back = line.packet("p1");
        let (mut pages, mut refused) = (Vec::new(), 0);
        let mut steps = 0;
        while line.packet("p20") != back {
            // At every instruction to begin with, and then at some: most of them fill the page.
            if steps < 200 || steps % 17 == 0 {
                let registers = line.packet("g");
                let said = monitor(&mut line);
                match said.strip_prefix("kalloc() = 0x") {
                    Some(page) => pages.push(u64::from_str_radix(page.trim(), 16).unwrap()),
                    None => {
                        assert!(said.contains("`finish` that"), "{said}");
                        refused += 1;
                    }
                }
                assert_eq!(line.packet("g"), registers, "{said}");
            }
            steps += 1;
            line.start("vCont;s:1");
            assert!(line.stop().starts_with("T05thread:01"));
        }
        assert!(pages.len() > 3 && refused > 100, "{pages:x?}, {refused}");
        let page = u64::from_le_bytes(bytes(&line.packet("pa")).try_into().unwrap());
        let mut all = pages.clone();
        all.push(page);
        all.sort_unstable();
        all.dedup();
        assert_eq!(
            all.len(),
            pages.len() + 1,
            "each page once: {pages:x?} {page:#x}"
        );
        // Not on a hart that waits to be started.
        assert_eq!(line.packet("Hg2"), "OK");
        assert!(monitor(&mut line).contains("not in S-mode"));
        assert_eq!(line.packet("D"), "OK");
        assert!(line.ask("heap").contains("kalloc in kalloc at most 1 deep"));
    });
}

/// Hart 0 is made to start hart 1, which runs into a breakpoint with its translation off.
#[test]
fn another_hart_stops_at_a_breakpoint_of_its_own() {
    let guest = Guest::boot("other", "pace=0");
    let mut line = guest.connect();
    line.expect("\n> ");
    let visit = address_of("visit");
    assert!(line.packet("qSupported").contains("PacketSize="));
    let before = line.packet("g");
    let code = bytes(&line.packet(&format!("m{visit:x},40")));
    let is_ecall = |word: &[u8]| *word == ECALL.to_le_bytes();
    let offset = code.windows(4).position(is_ecall).unwrap() as u64;
    // SBI: HSM, hart_start(hart 1, visit, a word of free memory).
    for (number, value) in [
        (17, 0x0048_534d),
        (16, 0),
        (10, 1),
        (11, visit),
        (12, 0x8780_0000),
        (32, visit + offset),
    ] {
        assert_eq!(line.packet(&register(number, value)), "OK");
    }
    assert_eq!(line.packet(&format!("Z0,{visit:x},2")), "OK");
    line.start("vCont;c");
    let stop = line.stop();
    assert!(stop.starts_with("T05thread:02;swbreak"), "{stop}");
    let hexadecimal = |value: u64| register(0, value)[3..].to_owned();
    assert_eq!(line.packet("Hg2"), "OK");
    assert_eq!(line.packet("p20"), hexadecimal(visit));
    assert_eq!(line.packet("p1041"), hexadecimal(1), "S-mode");
    assert_eq!(line.packet("p1c1"), hexadecimal(0), "satp");
    // Over its first instruction, then to its end: it stops itself, and is stepped no further.
    assert_eq!(line.packet(&format!("z0,{visit:x},2")), "OK");
    let mut steps = 0;
    while line.packet("p1041") == hexadecimal(1) {
        line.start("vCont;s:2");
        assert!(line.stop().starts_with("T05thread:02"));
        steps += 1;
        assert!(steps < 20);
    }
    assert!(steps > 4, "{steps}");
    let answered = line.packet("m87800000,8");
    assert_ne!(answered, hexadecimal(0));
    assert_eq!(line.packet("Hg1"), "OK");
    assert_eq!(line.packet(&format!("G{before}")), "OK");
    assert_eq!(line.packet("D"), "OK");
    assert!(line.ask("harts").contains("3 other harts have answered"));
}

/// The program's own ebreak is shown to the debugger, and then to the program, as if it had been
/// delegated.
#[test]
fn the_programs_own_ebreak_is_the_programs() {
    let guest = Guest::boot("ebreak", "pace=0");
    let mut line = guest.connect();
    line.expect("\n> ");
    let done = address_of("debug_kalloc");
    assert!(line.packet("qSupported").contains("PacketSize="));
    let code = bytes(&line.packet(&format!("m{done:x},20")));
    let is_ebreak = |word: &[u8]| *word == EBREAK.to_le_bytes();
    let place = done + code.windows(2).position(is_ebreak).unwrap() as u64;
    assert_eq!(line.packet(&register(32, place)), "OK");
    line.start("vCont;c");
    let stop = line.stop();
    assert!(
        stop.starts_with("T05thread:01") && !stop.contains("swbreak"),
        "{stop}"
    );
    // A step is into the program's handler.
    line.start("vCont;s:1");
    assert!(line.stop().starts_with("T05thread:01"));
    let hexadecimal = |value: u64| register(0, value)[3..].to_owned();
    assert_eq!(line.packet("p183"), hexadecimal(3), "scause");
    assert_eq!(line.packet("p182"), hexadecimal(place), "sepc");
    assert_eq!(line.packet("p20"), line.packet("p146"), "stvec");
    // Which reports it; what it prints comes in packets.
    line.start("vCont;c");
    let mut printed = String::new();
    while !printed.contains("sepc") {
        let text = line.answer();
        let digits = text.strip_prefix('O').unwrap();
        printed += &String::from_utf8(bytes(digits)).unwrap();
    }
    assert!(printed.contains("unexpected trap: breakpoint"), "{printed}");
}
