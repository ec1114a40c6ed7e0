//! What QEMU's monitor says about where the guest's RAM lies on the host.
//!
//! ```text
//!  info mtree -f                   0000000080000000-0000000087ffffff (prio 0, ram): ram0 @0000000000000000
//!  qom-get /objects/ram0 mem-path  "/dev/shm/ram"            the backend's name is the region's
//!  qom-get /objects/ram0 share     true
//!  qom-get /objects/ram0 offset    0                         not before QEMU 8.1: then it is 0
//!  gpa2hva 0x80000000              Host virtual address for 0x80000000 (ram0) is 0x7f6897fff000
//! ```
//!
//! `qom-get` prints JSON, and is in the monitor since QEMU 5.2. All of it is somebody else's word: what is
//! opened because of it is compared with what the port answers before it is believed.

use std::path::PathBuf;

use super::mapped::BankPlace;
use super::process::HostPlace;
use crate::link::qemu::MemoryRegion;

/// Most stretches of RAM that are looked into; a machine has one, or one for each NUMA node.
pub const MAX_BANKS: usize = 32;

/// What is asked about one stretch of RAM, in this order.
pub const QUESTIONS: usize = 4;

/// The questions about one stretch of RAM. `None` where its name cannot be an object's.
pub fn questions(region: &MemoryRegion) -> [String; QUESTIONS] {
    let name = &region.name;
    // A name goes into a command line: one that has other characters is asked for as nobody's.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = match !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain) {
        true => name,
        false => "none",
    };
    let get = |what| format!("qom-get /objects/{name} {what}");
    let start = region.range.start();
    [
        get("mem-path"),
        get("share"),
        get("offset"),
        format!("gpa2hva {start:#x}"),
    ]
}

/// What the answers say about one stretch of RAM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backing {
    /// The file, or why there is none that can be read.
    pub file: Result<BankPlace, String>,
    /// Where it is in the emulator.
    pub host: Option<HostPlace>,
}

impl Backing {
    /// Reads the answers to [`questions`].
    pub fn from_answers(region: &MemoryRegion, answers: &[String]) -> Self {
        let answer = |number: usize| answers.get(number).map_or("", |text| text.trim());
        let host = host_address(answer(3)).map(|host| HostPlace {
            range: region.range,
            host,
        });
        let file = match (text(answer(0)), answer(1)) {
            (None, _) => Err(format!(
                "RAM is not in a file (its backend {} has no mem-path); start QEMU with -object \
                 memory-backend-file,id=ram,size=…,mem-path=FILE,share=on -machine memory-backend=ram",
                region.name
            )),
            (Some(path), "true") => {
                let begins = answer(2).parse().unwrap_or(0u64);
                match begins.checked_add(region.offset) {
                    Some(offset) => Ok(BankPlace {
                        range: region.range,
                        path: PathBuf::from(path),
                        offset,
                    }),
                    None => Err(format!(
                        "QEMU says that it begins at byte {begins} of {path}"
                    )),
                }
            }
            (Some(path), _) => Err(format!(
                "RAM is in {path}, but what the guest writes is not: start QEMU with share=on"
            )),
        };
        Self { file, host }
    }
}

/// A JSON string as `qom-get` prints it. Its paths have the escapes that JSON asks for.
fn text(printed: &str) -> Option<String> {
    let path: String = serde_json::from_str(printed).ok()?;
    (!path.is_empty()).then_some(path)
}

fn host_address(printed: &str) -> Option<u64> {
    let (_, digits) = printed
        .strip_prefix("Host virtual address for ")?
        .rsplit_once(" is 0x")?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::{PhysAddr, PhysRange};

    use super::*;

    fn region(name: &str, offset: u64) -> MemoryRegion {
        MemoryRegion {
            range: PhysRange::new(PhysAddr::new(0x8000_0000), 0x80_0000).unwrap(),
            name: name.to_owned(),
            offset,
        }
    }

    fn answers(texts: [&str; QUESTIONS]) -> Vec<String> {
        texts.map(str::to_owned).to_vec()
    }

    #[test]
    fn what_qemu_says_of_a_shared_file() {
        let region = region("ram0", 0x1000);
        assert_eq!(questions(&region)[3], "gpa2hva 0x80000000");
        let said = answers([
            "\"/dev/shm/a\\\"b\"\n",
            "true\n",
            "Error: Property 'memory-backend-file.offset' not found",
            "Host virtual address for 0x80000000 (ram0) is 0x7f6897fff000\n",
        ]);
        let backing = Backing::from_answers(&region, &said);
        let file = backing.file.unwrap();
        assert_eq!(file.path, PathBuf::from("/dev/shm/a\"b"));
        assert_eq!(file.offset, 0x1000);
        assert_eq!(backing.host.unwrap().host, 0x7f68_97ff_f000);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let nothing = Backing::from_answers(&region("x", 0), &[]);
        assert!(nothing.file.unwrap_err().contains("not in a file"));
        assert_eq!(nothing.host, None);
        let private = answers([
            "\"/tmp/ram\"",
            "false",
            "",
            "No memory is mapped at address 0x0",
        ]);
        let private = Backing::from_answers(&region("x", 0), &private);
        assert!(private.file.unwrap_err().contains("share=on"));
        let far = answers(["\"/tmp/ram\"", "true", "18446744073709551615", ""]);
        let far = Backing::from_answers(&region("x", 1), &far);
        assert!(far.file.is_err());
    }

    /// A region's name comes from QEMU's user, and must not become another command.
    #[test]
    fn names_that_are_no_objects_are_not_asked_for() {
        for name in ["a b", "../x", "", &"x".repeat(65)] {
            assert_eq!(
                questions(&region(name, 0))[0],
                "qom-get /objects/none mem-path"
            );
        }
    }
}
