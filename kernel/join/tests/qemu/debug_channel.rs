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
