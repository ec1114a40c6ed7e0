//! Members of a kernel's structs: by name, from the ELF's debug information, or by number.

use serde::Deserialize;

/// Most characters of a path.
const MAX_LENGTH: usize = 120;

/// Most pointers that a path follows.
pub const MAX_POINTERS: usize = 4;

/// Furthest from its struct's start that a member is believed to be, in bytes.
const MAX_OFFSET: u64 = 1 << 20;

/// Where a member is: `pagetable`, `tasks.next`, `mm->pgd`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name; `.` goes into a struct, `->` through a pointer.
    pub path: Path,
    /// Offsets where the ELF does not tell: one, and one more for each `->` in the path.
    #[serde(default)]
    pub offsets: Vec<Offset>,
    /// Its bytes, where the ELF does not tell.
    #[serde(default)]
    pub size: Option<Size>,
}

/// A path through structs, checked.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    text: String,
    /// The members of one struct, and behind each pointer those of the next.
    hops: Vec<Vec<String>>,
}

impl Path {
    /// The members of one struct, and behind each pointer those of the next.
    pub fn hops(&self) -> &[Vec<String>] {
        &self.hops
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is no path; write members such as \"pagetable\" or \"mm->pgd\"");
        if text.len() > MAX_LENGTH {
            return Err(bad());
        }
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let hops: Vec<Vec<String>> = text
            .split("->")
            .map(|hop| hop.split('.').map(|name| name.trim().to_owned()).collect())
            .collect();
        if hops.len() > MAX_POINTERS + 1 {
            return Err(format!(
                "{text:?} follows more than {MAX_POINTERS} pointers; write fewer"
            ));
        }
        if !hops.iter().flatten().all(|name| is_name(name)) {
            return Err(bad());
        }
        Ok(Self { text, hops })
    }
}

/// A number of bytes from a struct's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "u64")]
pub struct Offset(pub u64);

impl TryFrom<u64> for Offset {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, String> {
        match bytes {
            0..MAX_OFFSET => Ok(Self(bytes)),
            _ => Err(format!(
                "an offset of {bytes} bytes; no struct has a member so far in (less than {MAX_OFFSET})"
            )),
        }
    }
}

/// Bytes of a member that is read: 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "u64")]
pub struct Size(pub u64);

impl TryFrom<u64> for Size {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, String> {
        match bytes {
            1..=64 => Ok(Self(bytes)),
            _ => Err(format!("a size of {bytes} bytes; write 1 to 64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_hops() {
        let path = Path::try_from("mm->pgd".to_owned()).expect("a path");
        assert_eq!(path.hops(), [["mm"], ["pgd"]]);
        let path = Path::try_from("tasks.next".to_owned()).expect("a path");
        assert_eq!(path.hops(), [["tasks", "next"]]);
        for bad in ["", "a..b", "a->", "a b", "->", "a->b->c->d->e->f"] {
            assert!(Path::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
