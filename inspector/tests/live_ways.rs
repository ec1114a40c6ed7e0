//! A QEMU that somebody else started: which ways there are to its memory, that all of them answer alike, and
//! that the others say why not.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod link_support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use link_support::*;
use pagescope::link::memory::mapped::RamFile;
use pagescope::link::{
    Address, ConnectOptions, GdbTarget, LinkError, PhysicalAccess, Target, WayOffer,
};
use pagescope_protocol::{PhysAddr, PhysPage};

/// A file that QEMU loads into RAM, so that not all of that is zero.
fn image(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("image");
    let bytes: Vec<u8> = (0..1 << 20u32).map(|n| (n * 7 + n / 256) as u8).collect();
    fs::write(&path, bytes).unwrap();
    format!(
        "loader,file={},addr=0x80000000,force-raw=on",
        path.display()
    )
}

/// A QEMU whose RAM is in a file in `folder`, with the image in it: `memory` is its size, `share` whether its writes reach
/// the file.
fn in_a_file(folder: &tempfile::TempDir, memory: &str, share: &str) -> (PathBuf, Qemu) {
    let ram = folder.path().join("some ram");
    let backend = format!(
        "memory-backend-file,id=mine,size={memory},mem-path={},share={share}",
        ram.display()
    );
    let image = image(folder);
    let qemu = Qemu::start(&[
        "-m",
        memory,
        "-machine",
        "memory-backend=mine",
        "-object",
        &backend,
        "-device",
        &image,
        "-S",
    ]);
    (ram, qemu)
}

/// Connects as somebody who names RAM's file.
fn connect_with(qemu: &Qemu, file: RamFile) -> Result<GdbTarget, LinkError> {
    let options = ConnectOptions {
        ram_file: Some(file),
        ..ConnectOptions::default()
    };
    GdbTarget::connect(&qemu.address, options)
}

fn offer(ways: &[WayOffer], way: PhysicalAccess) -> &WayOffer {
    ways.iter().find(|offer| offer.way == way).unwrap()
}

/// Reads the same frames by every way that there is, and compares.
fn compare_all(target: &mut GdbTarget, places: &[u64]) -> Vec<PhysicalAccess> {
    let frames: Vec<PhysPage> = places
        .iter()
        .map(|at| PhysPage::from_truncated(at >> 12))
        .collect();
    let ranges: Vec<_> = places.iter().map(|at| range(*at, 4096)).collect();
    let ways = target.ways().unwrap();
    let there: Vec<PhysicalAccess> = ways
        .iter()
        .filter(|offer| offer.why_not.is_none())
        .map(|offer| offer.way)
        .collect();
    let mut answers = Vec::new();
    for way in &there {
        target.choose_way(*way).unwrap();
        assert_eq!(target.facts().physical, *way);
        let used = target.ways().unwrap();
        assert!(
            used.iter()
                .all(|offer| offer.is_used == (offer.way == *way))
        );
        let words = target.read_frames(&frames).unwrap();
        let bytes = target.read_physical(&ranges).unwrap();
        for (words, bytes) in words.iter().zip(&bytes) {
            let words: Vec<u8> = words
                .as_ref()
                .unwrap()
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            assert_eq!(Some(&words), bytes.as_ref());
        }
        answers.push(bytes);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    there
}

#[test]
fn a_foreign_qemu_s_file_is_found_and_answers_as_the_port_does() {
    let folder = tempfile::tempdir().unwrap();
    let (_ram, qemu) = in_a_file(&folder, "64M", "on");
    let mut target = qemu.connect_by_any_way();
    // Nobody named it.
    assert_eq!(target.facts().physical, PhysicalAccess::MappedRam);
    let places = [0x8000_0000, 0x8000_5000, 0x83ff_f000];
    let there = compare_all(&mut target, &places);
    assert!(there.contains(&PhysicalAccess::GdbPort), "{there:?}");
    // It is read while the guest runs; a device is never.
    target.choose_way(PhysicalAccess::MappedRam).unwrap();
    target.resume().unwrap();
    assert!(target.read_physical(&[range(0x8000_0000, 8)]).unwrap()[0].is_some());
    target.interrupt().unwrap();
    target.wait_for_stop(HANG_GUARD).unwrap().unwrap();
    assert_eq!(
        target.read_physical(&[range(0x1000_0000, 1)]).unwrap(),
        [None]
    );
    assert_eq!(
        target.read_physical(&[range(0x8400_0000, 1)]).unwrap(),
        [None]
    );
}

#[test]
fn a_process_s_memory_is_read_where_the_system_allows_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(&folder);
    let qemu = Qemu::start(&["-device", &image, "-S"]);
    let mut target = qemu.connect_by_any_way();
    let ways = target.ways().unwrap();
    let file = offer(&ways, PhysicalAccess::MappedRam);
    let why = file.why_not.as_deref().unwrap();
    assert!(why.contains("memory-backend-file"), "{why}");
    let process = offer(&ways, PhysicalAccess::ProcessMemory);
    match &process.why_not {
        None => {
            assert_eq!(target.facts().physical, PhysicalAccess::ProcessMemory);
            let there = compare_all(&mut target, &[0x8000_0000, 0x8001_3000, 0x87ff_f000]);
            assert_eq!(
                there,
                [PhysicalAccess::ProcessMemory, PhysicalAccess::GdbPort]
            );
        }
        // QEMU is our child, so only a system that forbids it to everybody refuses.
        Some(why) => assert!(why.contains("/proc/") || why.contains("ptrace"), "{why}"),
    }
    let channel = target.choose_way(PhysicalAccess::Monitor).unwrap_err();
    assert!(matches!(channel, LinkError::NoWay { .. }), "{channel}");
}

/// The same machine behind a TCP port: who listens there is found in /proc.
#[test]
fn a_process_behind_tcp_is_found() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut qemu = Command::new("qemu-system-riscv64")
        .args([
            "-M", "virt", "-display", "none", "-serial", "null", "-monitor", "none", "-S",
        ])
        .args(["-gdb", &format!("tcp:127.0.0.1:{port}")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let address: Address = format!("127.0.0.1:{port}").parse().unwrap();
    let target = connect(&address).map(|mut target| target.ways());
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    let ways = target.unwrap().unwrap();
    let process = offer(&ways, PhysicalAccess::ProcessMemory);
    let why = process.why_not.as_deref().unwrap_or_default();
    assert!(
        !why.contains("not among those") && !why.contains("another machine"),
        "{why}"
    );
}

#[test]
fn several_banks_are_one_memory() {
    let folder = tempfile::tempdir().unwrap();
    let backend = |name: &str| {
        let path = folder.path().join(name);
        format!(
            "memory-backend-file,id={name},size=32M,mem-path={},share=on",
            path.display()
        )
    };
    let image = image(&folder);
    let qemu = Qemu::start(&[
        "-m",
        "64M",
        "-smp",
        "2",
        "-object",
        &backend("low"),
        "-object",
        &backend("high"),
        "-numa",
        "node,memdev=low,cpus=0",
        "-numa",
        "node,memdev=high,cpus=1",
        "-device",
        &image,
        "-S",
    ]);
    let mut target = qemu.connect_by_any_way();
    assert_eq!(target.facts().physical, PhysicalAccess::MappedRam);
    compare_all(
        &mut target,
        &[0x8000_0000, 0x81ff_f000, 0x8200_0000, 0x83ff_f000],
    );
}

#[test]
fn a_file_that_the_guest_s_writes_do_not_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ram, qemu) = in_a_file(&folder, "128M", "off");
    let mut target = qemu.connect_by_any_way();
    let ways = target.ways().unwrap();
    let why = offer(&ways, PhysicalAccess::MappedRam).why_not.as_deref();
    assert!(why.unwrap().contains("share=on"), "{why:?}");
    drop(target);
    // Nor is it believed when a user names it, or names another place for it.
    let error = connect_with(&qemu, RamFile::new(&ram))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("something else than"), "{error}");
    let elsewhere = RamFile {
        start: PhysAddr::new(0x1000_0000),
        path: ram,
    };
    let error = connect_with(&qemu, elsewhere)
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no RAM there"), "{error}");
}

/// It holds the same bytes as long as the guest stands still, and nothing that it writes later.
#[test]
fn a_copy_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ram, qemu) = in_a_file(&folder, "128M", "on");
    let target = connect_with(&qemu, RamFile::new(&ram)).unwrap();
    assert_eq!(target.facts().physical, PhysicalAccess::MappedRam);
    drop(target);
    let copy = folder.path().join("copy");
    fs::copy(&ram, &copy).unwrap();
    let error = connect_with(&qemu, RamFile::new(&copy))
        .map(drop)
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("it is a copy"), "{error}");
}

/// A guest whose file is cut takes its QEMU with it; not us.
#[test]
fn a_ram_file_that_is_cut_ends_nobody_but_its_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let (ram, qemu) = in_a_file(&folder, "16M", "on");
    let mut target = qemu.connect_by_any_way();
    target.choose_way(PhysicalAccess::MappedRam).unwrap();
    let high = range(0x80f0_0000, 4096);
    assert!(target.read_physical(&[high]).unwrap()[0].is_some());
    fs::File::options()
        .write(true)
        .open(&ram)
        .unwrap()
        .set_len(4096)
        .unwrap();
    assert_eq!(target.read_physical(&[high]).unwrap(), [None]);
    let frames = target.read_frames(&[PhysPage::from_truncated(0x8_0f00)]);
    assert_eq!(frames.unwrap(), [None]);
}
