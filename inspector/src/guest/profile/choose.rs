//! Which profile a guest has: as asked, else by evidence, and the evidence said.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Profile, ProfileError, text};
use crate::guest::ElfFile;

/// The profiles that are part of the program: name of the file, and its text.
const BUILT_IN: [(&str, &str); 7] = [
    (
        "pseudos.ron",
        include_str!("../../../../assets/profiles/pseudos.ron"),
    ),
    (
        "hypervisor.ron",
        include_str!("../../../../assets/profiles/hypervisor.ron"),
    ),
    (
        "process.ron",
        include_str!("../../../../assets/profiles/process.ron"),
    ),
    (
        "nanos.ron",
        include_str!("../../../../assets/profiles/nanos.ron"),
    ),
    (
        "xv6-riscv.ron",
        include_str!("../../../../assets/profiles/xv6-riscv.ron"),
    ),
    (
        "rcore.ron",
        include_str!("../../../../assets/profiles/rcore.ron"),
    ),
    (
        "linux.ron",
        include_str!("../../../../assets/profiles/linux.ron"),
    ),
];

/// The word for no profile at all.
const NONE: &str = "none";

/// What the user wants.
#[derive(Clone, Debug, Default)]
pub enum Choice {
    /// The one that the evidence speaks for.
    #[default]
    Automatic,
    /// None.
    None,
    /// This one.
    This(Arc<Profile>),
}

/// A profile, and why it is this one.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The profile.
    pub profile: Arc<Profile>,
    /// Why.
    pub why: Why,
}

/// Why a profile was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The user said so.
    Asked,
    /// The kernel's information block names this layout.
    Layout(String),
    /// The ELF has these symbols.
    Symbols(Vec<String>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("as asked"),
            Self::Layout(layout) => write!(f, "the kernel says that it is {layout}"),
            Self::Symbols(names) => write!(f, "its ELF has {}", names.join(", ")),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile {} ({})", self.profile.name, self.why)
    }
}

/// Every profile that is part of the program.
pub fn built_in() -> Vec<Arc<Profile>> {
    let all = BUILT_IN.iter().filter_map(|(file, text)| {
        // A test reads each.
        text::read(Path::new(file), text).ok()
    });
    all.map(Arc::new).collect()
}

impl Choice {
    /// What `word` asks for: `none`, a built-in profile's name, or a file.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn parse(word: &str) -> Result<Self, ProfileError> {
        if word == NONE {
            return Ok(Self::None);
        }
        let all = built_in();
        if let Some(profile) = all.iter().find(|profile| &*profile.name == word) {
            return Ok(Self::This(Arc::clone(profile)));
        }
        let path = PathBuf::from(word);
        let looks_like_file = path.extension().is_some_and(|extension| extension == "ron");
        if looks_like_file || path.exists() {
            return text::open(&path).map(|profile| Self::This(Arc::new(profile)));
        }
        let mut known: Vec<&str> = all.iter().map(|profile| &*profile.name).collect();
        known.push(NONE);
        Err(ProfileError::Unknown {
            name: word.chars().take(100).collect(),
            known: known.join(", "),
        })
    }

    /// The profile of the kernel with this ELF, which says that it is `layout`.
    pub fn choose(&self, elf: Option<&ElfFile>, layout: Option<&str>) -> Option<Chosen> {
        match self {
            Self::None => None,
            Self::This(profile) => Some(Chosen {
                profile: Arc::clone(profile),
                why: Why::Asked,
            }),
            Self::Automatic => by_evidence(&built_in(), elf, layout),
        }
    }
}

/// The profile that the kernel itself names; else the one of which the ELF has the most symbols, all
/// of them.
fn by_evidence(
    profiles: &[Arc<Profile>],
    elf: Option<&ElfFile>,
    layout: Option<&str>,
) -> Option<Chosen> {
    if let Some(layout) = layout {
        let named = profiles
            .iter()
            .find(|profile| profile.recognise.layout.as_deref() == Some(layout));
        // A kernel that says what it is, is nothing else.
        return named.map(|profile| Chosen {
            profile: Arc::clone(profile),
            why: Why::Layout(layout.to_owned()),
        });
    }
    let elf = elf?;
    let has_all = |profile: &&Arc<Profile>| {
        let symbols = &profile.recognise.symbols;
        !symbols.is_empty() && symbols.iter().all(|name| elf.address_of(name).is_some())
    };
    let best = profiles
        .iter()
        .filter(has_all)
        .max_by_key(|profile| profile.recognise.symbols.len())?;
    let names = best.recognise.symbols.iter().map(ToString::to_string);
    Some(Chosen {
        profile: Arc::clone(best),
        why: Why::Symbols(names.collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::elf::file;

    #[test]
    fn every_built_in_profile_is_sound() {
        for (name, text) in BUILT_IN {
            let profile = text::read(Path::new(name), text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(format!("{}.ron", profile.name), name);
            assert!(!profile.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_evidence_decides() {
        let xv6 = file(&[
            ("kalloc", 1),
            ("kfree", 2),
            ("proc", 3),
            ("kernel_pagetable", 4),
            ("uservec", 5),
        ]);
        let chosen = Choice::Automatic.choose(Some(&xv6), None).expect("xv6");
        assert_eq!(&*chosen.profile.name, "xv6-riscv");
        assert!(chosen.to_string().contains("kernel_pagetable"), "{chosen}");
        let ours = Choice::Automatic.choose(Some(&xv6), Some("nanos"));
        assert_eq!(&*ours.expect("ours").profile.name, "nanos");
        assert!(Choice::Automatic.choose(Some(&xv6), Some("else")).is_none());
        let other = file(&[("kalloc", 1), ("proc", 3)]);
        assert!(Choice::Automatic.choose(Some(&other), None).is_none());
        assert!(Choice::None.choose(Some(&xv6), None).is_none());
        let asked = Choice::parse("linux").expect("built in");
        let asked = asked.choose(None, None).expect("as asked");
        assert_eq!(asked.why, Why::Asked);
        let error = Choice::parse("minix").expect_err("not built in");
        assert!(error.to_string().contains("xv6-riscv"), "{error}");
    }
}
