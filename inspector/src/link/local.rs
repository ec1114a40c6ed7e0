//! Guests on this machine that can be attached to: QEMU processes whose command line opens a gdb port that is
//! listened on.
//!
//! ```text
//!  /proc/PID/cmdline    qemu-system-riscv64 … -s                    → 127.0.0.1:1234
//!                       -gdb tcp::1235 | tcp:host:port              → that port
//!                       -gdb unix:PATH,server | unix:PATH           → that socket
//!                       -gdb chardev:G -chardev socket,id=G,…       → that chardev's port or path
//!  /proc/net/tcp        which ports are listened on; /proc/net/unix which sockets
//! ```
//!
//! Where there is no /proc nothing is found, and an address is typed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Address;

/// Most processes and lines that are looked at.
const MOST: usize = 1 << 16;
/// Most letters of a command line that are shown.
const SHOWN: usize = 160;

/// A guest that can be attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalGuest {
    /// QEMU's process.
    pub pid: u32,
    /// Its gdb port.
    pub address: Address,
    /// Its command line, without what says little.
    pub command: String,
}

/// What is listened on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Listening {
    ports: BTreeSet<u16>,
    sockets: BTreeSet<PathBuf>,
}

/// The guests of this machine, by process number.
pub fn local_guests() -> Vec<LocalGuest> {
    guests_in(Path::new("/proc"))
}

fn guests_in(proc: &Path) -> Vec<LocalGuest> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    let listening = Listening::read(proc);
    let mut found = Vec::new();
    for entry in entries.flatten().take(MOST) {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok();
        let Some(pid) = pid else { continue };
        // A process may end while it is looked at.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .filter(|word| !word.is_empty())
            .collect();
        if !is_qemu(&words) {
            continue;
        }
        let addresses = gdb_ports(&words).into_iter();
        let open = addresses.filter(|address| listening.has(address));
        found.extend(open.map(|address| LocalGuest {
            pid,
            address,
            command: in_short(&words),
        }));
    }
    found.sort_by_key(|guest| guest.pid);
    found
}

fn is_qemu(words: &[String]) -> bool {
    let program = words
        .first()
        .map(|word| word.rsplit('/').next().unwrap_or(word));
    program.is_some_and(|program| program.starts_with("qemu-system-riscv"))
}

/// The gdb ports that a command line opens.
fn gdb_ports(words: &[String]) -> Vec<Address> {
    let mut found = Vec::new();
    let mut words_left = words.iter().enumerate();
    while let Some((at, word)) = words_left.next() {
        let option = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        match option {
            Some("s") => found.push(this_machine("", 1234)),
            Some("gdb") => {
                let Some(value) = words.get(at + 1) else {
                    break;
                };
                found.extend(match value.strip_prefix("chardev:") {
                    Some(id) => chardev(words, id),
                    None => backend(value),
                });
                words_left.next();
            }
            _ => {}
        }
    }
    found
}

/// `tcp::1235,server`, `unix:/tmp/gdb`, `1235`.
fn backend(text: &str) -> Option<Address> {
    let place = text.split(',').next()?;
    if let Some(path) = place.strip_prefix("unix:") {
        return (!path.is_empty()).then(|| Address::Unix(path.into()));
    }
    let (host, port) = place.strip_prefix("tcp:")?.rsplit_once(':')?;
    Some(this_machine(host, port.parse().ok()?))
}

/// The `-chardev socket` of this id.
fn chardev(words: &[String], id: &str) -> Option<Address> {
    let values = words
        .windows(2)
        .filter(|pair| pair[0].trim_start_matches('-') == "chardev")
        .map(|pair| &pair[1]);
    for value in values {
        let mut parts = value.split(',');
        if parts.next() != Some("socket") {
            continue;
        }
        let fields: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let field = |name| {
            fields
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        if field("id") != Some(id) {
            continue;
        }
        if let Some(path) = field("path") {
            return Some(Address::Unix(path.into()));
        }
        let port = field("port")?.parse().ok()?;
        return Some(this_machine(field("host").unwrap_or_default(), port));
    }
    None
}

/// A port that is listened on for everybody is reached on this machine's own address.
fn this_machine(host: &str, port: u16) -> Address {
    let host = match host {
        "" | "0.0.0.0" | "::" | "[::]" => "127.0.0.1",
        host => host,
    };
    Address::Tcp {
        host: host.to_owned(),
        port,
    }
}

impl Listening {
    fn read(proc: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
        Self {
            ports: ["tcp", "tcp6"]
                .into_iter()
                .flat_map(|name| listened_ports(&read(name)))
                .collect(),
            sockets: read("unix")
                .lines()
                .take(MOST)
                .filter_map(|line| line.split_whitespace().nth(7).map(PathBuf::from))
                .collect(),
        }
    }

    fn has(&self, address: &Address) -> bool {
        match address {
            Address::Tcp { port, .. } => self.ports.contains(port),
            // A relative path is QEMU's own matter: where it is listened on, it has that name.
            Address::Unix(path) => self.sockets.contains(path),
            Address::Serial(_) | Address::File(_) => false,
        }
    }
}

/// The ports in a file like /proc/net/tcp whose state is LISTEN.
fn listened_ports(text: &str) -> Vec<u16> {
    const LISTEN: &str = "0A";
    let lines = text.lines().skip(1).take(MOST);
    lines
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let local = fields.nth(1)?;
            (fields.nth(1)? == LISTEN).then_some(())?;
            u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
        })
        .collect()
}

/// The program, and what tells one guest from another: kernel, machine, memory.
fn in_short(words: &[String]) -> String {
    let mut parts: Vec<&str> = Vec::new();
    if let Some(program) = words.first() {
        parts.push(program.rsplit('/').next().unwrap_or(program));
    }
    for pair in words.windows(2) {
        let option = pair[0].trim_start_matches('-');
        if matches!(option, "kernel" | "append" | "bios") && pair[1] != "none" {
            let name = match option {
                "append" => pair[1].as_str(),
                _ => pair[1].rsplit('/').next().unwrap_or(&pair[1]),
            };
            parts.push(name);
        }
    }
    let text = parts.join(" ");
    match text.chars().count() > SHOWN {
        true => text.chars().take(SHOWN - 1).chain(['…']).collect(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn ports(text: &str) -> Vec<String> {
        let found = gdb_ports(&words(text));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_way_to_name_a_gdb_port_is_understood() {
        for (line, expected) in [
            ("qemu -M virt -s -S", "127.0.0.1:1234"),
            ("qemu -gdb tcp::1235", "127.0.0.1:1235"),
            ("qemu --gdb tcp:0.0.0.0:4000,server", "127.0.0.1:4000"),
            ("qemu -gdb unix:/tmp/gdb,server,nowait", "unix:/tmp/gdb"),
            (
                "qemu -chardev socket,id=x,path=/a -chardev socket,path=/tmp/g,server=on,id=g -gdb chardev:g",
                "unix:/tmp/g",
            ),
            (
                "qemu -gdb chardev:g -chardev socket,id=g,port=1300,host=127.0.0.1",
                "127.0.0.1:1300",
            ),
        ] {
            assert_eq!(ports(line), [expected], "{line}");
        }
        for line in [
            "qemu -M virt",
            "qemu -gdb",
            "qemu -gdb tcp::99999",
            "qemu -gdb chardev:none",
            "qemu -gdb stdio",
        ] {
            assert_eq!(ports(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn a_guest_is_found_where_its_port_is_listened_on() {
        let proc = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = proc.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write(
            "net/tcp",
            b"  sl  local_address rem_address st\n   0: 0100007F:04D2 00000000:0000 0A 00000000:00000000\n   \
              1: 0100007F:04D3 00000000:0000 01 00000000:00000000\n",
        );
        write(
            "41/cmdline",
            b"/usr/bin/qemu-system-riscv64\0-s\0-kernel\0/x/kernel.elf\0",
        );
        // Its port is only connected, not listened on.
        write("42/cmdline", b"qemu-system-riscv64\0-gdb\0tcp::1235\0");
        write("43/cmdline", b"bash\0-s\0");
        write("44/cmdline", b"");
        let found = guests_in(proc.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].pid, 41);
        assert_eq!(found[0].address.to_string(), "127.0.0.1:1234");
        assert_eq!(found[0].command, "qemu-system-riscv64 kernel.elf");
        assert_eq!(guests_in(Path::new("/nonexistent")), []);
    }
}
