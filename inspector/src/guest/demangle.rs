//! Rust's names as people write them, from how they stand in an ELF.
//!
//! ```text
//! _ZN10hypervisor4vmem5build17hd0392c04903f2feaE  ──▶  hypervisor::vmem::build
//!    └ length, then that many characters; the last part is a hash
//! ```

use std::borrow::Cow;

/// The readable name; any other name as it is. What comes from a file may be anything.
pub fn demangled(name: &str) -> Cow<'_, str> {
    parts(name).map_or(Cow::Borrowed(name), |parts| Cow::Owned(parts.join("::")))
}

/// The parts of the path, without the hash.
fn parts(name: &str) -> Option<Vec<String>> {
    let mut rest = name.strip_prefix("_ZN")?;
    let mut parts = Vec::new();
    while !rest.starts_with('E') {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let length: usize = rest[..digits].parse().ok()?;
        let part = rest.get(digits..digits.checked_add(length)?)?;
        rest = &rest[digits + length..];
        parts.push(readable(part));
    }
    let is_hash = |part: &String| {
        let hash = part.strip_prefix('h');
        hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if parts.last().is_some_and(is_hash) {
        parts.pop();
    }
    (!parts.is_empty()).then_some(parts)
}

/// A part with its escapes undone.
fn readable(part: &str) -> String {
    let escapes = [
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$RF$", "&"),
        ("$BP$", "*"),
        ("$C$", ","),
        ("$u20$", " "),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("..", "::"),
    ];
    let begins = part.strip_prefix('_').filter(|rest| rest.starts_with('$'));
    let mut text = begins.unwrap_or(part).to_owned();
    for (escape, meant) in escapes {
        text = text.replace(escape, meant);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_read_and_other_names_stay() {
        for (name, meant) in [
            (
                "_ZN10hypervisor4vmem5build17hd0392c04903f2feaE",
                "hypervisor::vmem::build",
            ),
            (
                "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
                "core::fmt::Formatter::pad",
            ),
            (
                "_ZN44_$LT$alloc..Heap$u20$as$u20$core..fmt..Write$GT$9write_strE",
                "_ZN44_$LT$alloc..Heap$u20$as$u20$core..fmt..Write$GT$9write_strE",
            ),
            ("_ZN10_$LT$A$GT$3fooE", "<A>::foo"),
            ("kalloc", "kalloc"),
            ("_ZN", "_ZN"),
            ("_ZNE", "_ZNE"),
            ("_ZN99999999999999999999xE", "_ZN99999999999999999999xE"),
        ] {
            assert_eq!(demangled(name), meant);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(name in "_ZN[0-9a-zéE$_]{0,20}", any: String) {
            let _ = (demangled(&name), demangled(&any));
        }
    }
}
