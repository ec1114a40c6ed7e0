//! Addresses in a profile: symbols and numbers, added and taken away.
//!
//! ```text
//!  "kalloc"   "kmem+24"   "end"   "0x80000000"   "_entry + 0x1000 - 8"
//! ```

use std::fmt;

use serde::Deserialize;

use crate::guest::ElfFile;

/// Most characters of an expression.
const MAX_LENGTH: usize = 200;

/// Most terms of an expression.
const MAX_TERMS: usize = 8;

/// A sum of symbols and numbers.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Expression {
    text: String,
    terms: Vec<(Sign, Term)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Plus,
    Minus,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Term {
    Symbol(String),
    Number(u64),
}

impl Expression {
    /// The address that it means; the symbol that is missing otherwise.
    ///
    /// # Errors
    /// The name that `elf` does not have.
    pub fn evaluate(&self, elf: &ElfFile) -> Result<u64, String> {
        self.terms.iter().try_fold(0u64, |sum, (sign, term)| {
            let value = match term {
                Term::Number(number) => *number,
                Term::Symbol(name) => match elf.address_of(name) {
                    Some(address) => address.as_u64(),
                    None => return Err(name.clone()),
                },
            };
            Ok(match sign {
                Sign::Plus => sum.wrapping_add(value),
                Sign::Minus => sum.wrapping_sub(value),
            })
        })
    }

    /// The symbol that it is, where it is nothing else.
    pub fn symbol(&self) -> Option<&str> {
        match self.terms.as_slice() {
            [(Sign::Plus, Term::Symbol(name))] => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Expression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "an address of {} characters; write at most {MAX_LENGTH}",
                text.len()
            ));
        }
        let mut terms = Vec::new();
        let mut sign = Sign::Plus;
        let mut rest = text.as_str();
        loop {
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            let (term, after) = rest.split_at(end);
            terms.push((sign, Term::parse(term.trim(), &text)?));
            if terms.len() > MAX_TERMS {
                return Err(format!(
                    "{text:?} has more than {MAX_TERMS} terms; write fewer"
                ));
            }
            sign = match after.chars().next() {
                None => break,
                Some('-') => Sign::Minus,
                Some(_) => Sign::Plus,
            };
            rest = &after[1..];
        }
        Ok(Self { text, terms })
    }
}

impl Term {
    fn parse(text: &str, whole: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{whole:?} is no address; write a symbol, a number, or a sum such as \"kmem+24\""
            )
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let number = match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(&digits.replace('_', ""), 16),
                None => text.replace('_', "").parse(),
            };
            return number.map(Self::Number).map_err(|_| bad());
        }
        let is_name = |c: char| c.is_alphanumeric() || "_.$:<>@".contains(c);
        if text.is_empty() || !text.chars().all(is_name) {
            return Err(bad());
        }
        Ok(Self::Symbol(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::elf::file;

    fn parse(text: &str) -> Result<Expression, String> {
        Expression::try_from(text.to_owned())
    }

    #[test]
    fn sums_of_symbols_and_numbers() {
        let elf = file(&[("kmem", 0x8001_0000), ("end", 0x8002_0000)]);
        let value = |text: &str| parse(text).expect(text).evaluate(&elf);
        assert_eq!(value("kmem+24"), Ok(0x8001_0018));
        assert_eq!(value(" end - kmem + 0x10"), Ok(0x1_0010));
        assert_eq!(value("0x8000_0000"), Ok(0x8000_0000));
        assert_eq!(value("nobody+1"), Err("nobody".into()));
        assert_eq!(parse("end").expect("one").symbol(), Some("end"));
        assert_eq!(parse("end+1").expect("two").symbol(), None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "+", "a+", "a b", "0xfg", "18446744073709551616", "a*2"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&"a".repeat(1000)).is_err());
        assert!(parse(&"1+".repeat(20)).is_err());
    }
}
