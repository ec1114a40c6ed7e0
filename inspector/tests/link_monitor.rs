//! Physical memory by a monitor's switch, as on our kernel's debug channel: against stubs that have
//! it, that only seem to, and that answer nonsense.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod link_support;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use link_support::*;
use pagescope::link::{
    Address, FoundState, LinkError, PhysicalAccess, StopReason, Stub as Answerer, Target,
};
use pagescope_protocol::VirtAddr;

const HELP: &str = "heap      the heap\nphysical [on|off]   what addresses mean\nhelp      this\n";

fn digits(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What a monitor prints: as `O` packets of half the text each, then `OK`.
fn printed(text: &str) -> Vec<Answer> {
    let middle = (0..=text.len() / 2)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let (first, second) = text.split_at(middle);
    let mut answers: Vec<Answer> = [first, second]
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| format!("O{}", digits(part)).as_str().into())
        .collect();
    answers.push("OK".into());
    answers
}

/// The command in a `qRcmd`.
fn command(request: &str) -> Option<String> {
    let text = request.strip_prefix("qRcmd,")?;
    let bytes = (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16));
    String::from_utf8(bytes.map(Result::unwrap).collect()).ok()
}

/// A stub without QEMU's switch, whose monitor answers as `monitor` says; as our kernel's does
/// where that gives `None`.
fn stub(monitor: impl Fn(&str) -> Option<Vec<Answer>> + Send + Sync + 'static) -> Stub {
    let is_on = AtomicBool::new(false);
    Stub::start(&[], move |request| {
        if request.contains("PhyMemMode") {
            return Some(vec!["".into()]);
        }
        if request.starts_with("vCont;") {
            return Some(vec!["T05thread:01;".into()]);
        }
        if request.starts_with('m') && !is_on.load(Ordering::Relaxed) {
            // Through translation: nothing is mapped.
            return Some(vec!["E0e".into()]);
        }
        let command = command(request)?;
        if let Some(answers) = monitor(&command) {
            return Some(answers);
        }
        match command.as_str() {
            "help" => return Some(printed(HELP)),
            "physical on" => is_on.store(true, Ordering::Relaxed),
            "physical off" => is_on.store(false, Ordering::Relaxed),
            "physical" => {}
            _ => return Some(printed("no such command; `monitor help` lists them\n")),
        }
        let state = if is_on.load(Ordering::Relaxed) {
            "on"
        } else {
            "off"
        };
        Some(printed(&format!("physical {state}\n")))
    })
}

/// What the stub was asked, monitor commands in words.
fn asked(stub: &Stub) -> Vec<String> {
    let asked = stub.asked().into_iter();
    asked
        .map(|request| match command(&request) {
            Some(command) => format!("monitor {command}"),
            None => request,
        })
        .collect()
}

fn count(stub: &Stub, what: &str) -> usize {
    asked(stub).iter().filter(|asked| *asked == what).count()
}

#[test]
fn the_switch_is_found_used_once_a_stop_and_put_back() {
    let stub = stub(|_| None);
    let mut target = stub.connect().unwrap();
    assert_eq!(target.facts().physical, PhysicalAccess::Monitor);
    assert_eq!(target.facts().stub, Answerer::Other);
    assert_eq!(target.facts().found, FoundState::Unknown);
    let read = target.read_physical(&[range(0x10, 4)]).unwrap();
    assert_eq!(read, [Some(bytes(0x10, 4))]);
    target.read_physical(&[range(0x20, 4)]).unwrap();
    assert_eq!(count(&stub, "monitor physical on"), 1);
    target.resume().unwrap();
    target.wait_for_stop(HANG_GUARD).unwrap().unwrap();
    target.read_physical(&[range(0x30, 4)]).unwrap();
    Box::new(target).detach().unwrap();
    let asked = asked(&stub);
    let from = asked
        .iter()
        .position(|asked| asked == "monitor physical on")
        .unwrap();
    assert_eq!(
        asked[from..],
        [
            "monitor physical on",
            "m10,4",
            "m20,4",
            "monitor physical off",
            "vCont;c",
            "monitor physical on",
            "m30,4",
            "monitor physical off",
            "D"
        ]
    );
}

/// It was on before we came: it stays so.
#[test]
fn a_switch_that_is_found_on_is_left_on() {
    let stub = stub(|command| (command == "physical").then(|| printed("physical on\n")));
    let target = stub.connect().unwrap();
    assert_eq!(target.facts().physical, PhysicalAccess::Monitor);
    drop(target);
    assert_eq!(count(&stub, "monitor physical off"), 0);
    assert_eq!(count(&stub, "monitor physical on"), 0);
}

/// Nothing is set where the monitor does not plainly have the switch.
#[test]
fn what_is_not_plainly_the_switch_is_not_touched() {
    fn help(text: &'static str) -> impl Fn(&str) -> Option<Vec<Answer>> {
        move |command| (command == "help").then(|| printed(text))
    }
    let help_only: [&'static str; 5] = [
        "",
        "mdw ['phys'] address [count]\nphysicalmem  something else\n",
        "read physical on the bench\n",
        "\u{fffd}\u{0}\u{1b}[2J",
        "no such command\n",
    ];
    let mut stubs: Vec<Stub> = help_only.map(|text| stub(help(text))).into();
    for state in ["", "physical [on|off]\n", "on and off\n", "maybe\n"] {
        stubs.push(stub(move |command| {
            (command == "physical").then(|| printed(state))
        }));
    }
    // No monitor; one that refuses; one that answers in the packet itself, with rubbish.
    stubs.push(stub(|_| Some(vec!["".into()])));
    stubs.push(stub(|_| Some(vec!["E01".into()])));
    stubs.push(stub(|_| Some(vec!["zz".into()])));
    stubs.push(stub(|_| Some(vec![Answer::Packet(vec![0xff; 3000])])));
    for stub in stubs {
        let mut target = stub.connect().unwrap();
        assert_eq!(target.facts().physical, PhysicalAccess::Unavailable);
        let error = target.read_physical(&[range(0, 8)]).unwrap_err();
        assert!(
            matches!(error, LinkError::NoPhysicalMemory { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("monitor command `physical`"),
            "{error}"
        );
        drop(target);
        assert_eq!(count(&stub, "monitor physical on"), 0);
        assert_eq!(count(&stub, "m0,8"), 0);
    }
}

/// A switch that does not do what it is told: the error says what it said, nothing is read, and it
/// is asked to go back all the same.
#[test]
fn a_switch_that_does_not_turn_is_an_error() {
    for answer in ["physical off\n", "", "busy: physical on, physical off\n"] {
        let stub = stub(move |command| (command == "physical on").then(|| printed(answer)));
        let mut target = stub.connect().unwrap();
        let error = target.read_physical(&[range(0, 8)]).unwrap_err();
        assert!(matches!(error, LinkError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("monitor physical on"), "{error}");
        drop(target);
        assert_eq!(count(&stub, "m0,8"), 0);
        assert_eq!(count(&stub, "monitor physical off"), 1);
    }
}

/// A monitor that prints without end, or says nothing, ends in an error and not in a hang.
#[test]
fn a_monitor_that_does_not_end_is_given_up() {
    let endless = || {
        let line = digits(&"physical noise\n".repeat(120));
        let packet = format!("O{line}");
        (0..3000).map(|_| packet.as_str().into()).collect()
    };
    let stub = stub(move |_| Some(endless()));
    let error = stub.connect().unwrap_err();
    assert!(
        error.to_string().contains("does not stop printing"),
        "{error}"
    );
}

/// A stub that patches memory stops at its own patch: the breakpoint is taken out for the step off
/// it, and set again.
#[test]
fn a_patched_breakpoint_is_taken_out_while_its_hart_steps_off() {
    let stub = stub(|_| None);
    let mut target = stub.connect().unwrap();
    target.set_breakpoint(VirtAddr::new(0x8000_0000)).unwrap();
    for _ in 0..2 {
        target.resume().unwrap();
        let stop = target.wait_for_stop(HANG_GUARD).unwrap().unwrap();
        assert!(matches!(stop, StopReason::Breakpoint { .. }), "{stop:?}");
    }
    drop(target);
    let moves: Vec<String> = asked(&stub)
        .into_iter()
        .filter(|asked| asked.starts_with("vCont;") || asked[1..].starts_with("0,"))
        .collect();
    assert_eq!(
        moves,
        [
            "Z0,80000000,2",
            "vCont;c",
            "z0,80000000,2",
            "vCont;s:1",
            "Z0,80000000,2",
            "vCont;c",
            "z0,80000000,2",
        ]
    );
}

/// What came before the stub listened is sent again; where it was heard after all, its second answer
/// is told from the next request's.
#[test]
fn a_first_request_that_is_lost_or_late_is_sent_again() {
    for heard in [1, 2] {
        let mut seen = 0;
        let stub = Stub::start(&[], move |request| {
            if !request.starts_with("qSupported") {
                return None;
            }
            seen += 1;
            if seen < 2 {
                return Some(vec![Answer::Nothing]);
            }
            let reply = "PacketSize=1000;qXfer:features:read+;vContSupported+";
            Some((0..heard).map(|_| reply.into()).collect())
        });
        let mut target = stub.connect().unwrap();
        assert_eq!(target.harts().unwrap().len(), 1);
        let asked = asked(&stub);
        assert_eq!(asked[..2], [asked[0].as_str(), asked[0].as_str()]);
        assert_eq!(asked[2], "qC");
    }
}

/// On a serial port the console speaks until the debugger does. Nothing in its text is an answer.
#[test]
fn console_text_before_the_first_packet_is_no_answer() {
    let noise = b"machine: layout pseudos -- ready+ $x#00 $ # - \r\n> ";
    let stub = stub(|_| None);
    let address = {
        // The same stub, behind a console that is in the middle of its words.
        let Address::Tcp { host, port } = stub.address.clone() else {
            unreachable!("stubs listen on TCP")
        };
        serve(move |mut client| {
            let mut server = std::net::TcpStream::connect((host.as_str(), port)).unwrap();
            client.write_all(noise).unwrap();
            let mut from_server = server.try_clone().unwrap();
            let mut to_client = client.try_clone().unwrap();
            let back = std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
            let _ = std::io::copy(&mut client, &mut server);
            let _ = server.shutdown(std::net::Shutdown::Both);
            let _ = back.join();
        })
    };
    let mut target = connect(&address).unwrap();
    let read = target.read_physical(&[range(0x10, 4)]).unwrap();
    assert_eq!(read, [Some(bytes(0x10, 4))]);
    Box::new(target).detach().unwrap();
    let supported = asked(&stub)
        .into_iter()
        .filter(|asked| asked.starts_with("qSupported"));
    assert_eq!(supported.count(), 1, "it was asked once");
}
