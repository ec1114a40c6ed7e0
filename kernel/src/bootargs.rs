//! The command line: what `-append` says, as the device tree hands it on.
//!
//! `layout=pseudos tables=pool pace=20 selftest bench`. A layout or a strategy that this kernel does
//! not have is refused by name; so is a value that cannot be. Other words are somebody else's.

use core::fmt;

use thiserror::Error;

/// The layouts that can be asked for.
pub const LAYOUTS: [&str; 4] = ["pseudos", "hypervisor", "process", "nanos"];

/// The strategies that can be asked for.
pub const STRATEGIES: [&str; 4] = ["pool", "self-leaf", "mirror", "demand"];

/// Milliseconds between the idle loop's calls where `pace=` does not say.
pub const DEFAULT_PACE_MS: u64 = 20;

/// The longest pace: an hour.
pub const MAX_PACE_MS: u64 = 3_600_000;

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootArgs<'a> {
    /// `layout=`, where it was said.
    pub layout: Option<&'a str>,
    /// `tables=`.
    pub strategy: &'a str,
    /// `pace=`: milliseconds between calls of kalloc while nobody types; 0 for none.
    pub pace_ms: u64,
    /// `selftest`.
    pub selftest: bool,
    /// `bench`.
    pub bench: bool,
}

/// Why a command line is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BootArgsError<'a> {
    /// A layout that does not exist.
    #[error("unknown layout={0}; this kernel has: {known}", known = Known(&LAYOUTS))]
    Layout(&'a str),
    /// A strategy that does not exist.
    #[error("unknown tables={0}; this kernel has: {known}", known = Known(&STRATEGIES))]
    Strategy(&'a str),
    /// Not a number of milliseconds.
    #[error(
        "pace={0}: expected milliseconds from 0 to {MAX_PACE_MS}, for example pace={DEFAULT_PACE_MS}"
    )]
    Pace(&'a str),
    /// A value for a word that takes none.
    #[error("{0}={1}: {0} takes no value; leave it out not to run it")]
    TakesNoValue(&'static str, &'a str),
}

/// Names, with commas between them.
struct Known(&'static [&'static str]);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

impl<'a> BootArgs<'a> {
    /// Reads a command line. Of a word that stands twice, the last counts.
    ///
    /// # Errors
    /// [`BootArgsError`], which names the word.
    pub fn parse(text: &'a str) -> Result<Self, BootArgsError<'a>> {
        let mut args = Self {
            layout: None,
            strategy: STRATEGIES[0],
            pace_ms: DEFAULT_PACE_MS,
            selftest: false,
            bench: false,
        };
        for word in text.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("layout", name)) if LAYOUTS.contains(&name) => args.layout = Some(name),
                Some(("layout", name)) => return Err(BootArgsError::Layout(name)),
                Some(("tables", name)) if STRATEGIES.contains(&name) => args.strategy = name,
                Some(("tables", name)) => return Err(BootArgsError::Strategy(name)),
                Some(("pace", value)) => {
                    args.pace_ms = parse_pace(value).ok_or(BootArgsError::Pace(value))?;
                }
                Some(("selftest", value)) => {
                    return Err(BootArgsError::TakesNoValue("selftest", value));
                }
                Some(("bench", value)) => return Err(BootArgsError::TakesNoValue("bench", value)),
                None if word == "selftest" => args.selftest = true,
                None if word == "bench" => args.bench = true,
                _ => {}
            }
        }
        Ok(args)
    }
}

/// A number of milliseconds that can be a pace.
pub fn parse_pace(text: &str) -> Option<u64> {
    text.parse().ok().filter(|pace| *pace <= MAX_PACE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    #[test]
    fn the_default_is_pseudos_with_pool() {
        let args = BootArgs::parse("").unwrap();
        assert_eq!((args.layout, args.strategy), (None, "pool"));
        assert_eq!((args.pace_ms, args.selftest), (20, false));
    }

    #[test]
    fn every_strategy_can_be_asked_for() {
        let names = crate::self_map::STRATEGIES.map(|strategy| strategy.name());
        assert_eq!(names, STRATEGIES);
    }

    #[test]
    fn words_are_read() {
        let args =
            BootArgs::parse(" root=/dev/vda layout=pseudos  tables=pool pace=0 selftest bench\n");
        let expected = BootArgs {
            layout: Some("pseudos"),
            strategy: "pool",
            pace_ms: 0,
            selftest: true,
            bench: true,
        };
        assert_eq!(args, Ok(expected));
    }

    #[test]
    fn the_unknown_is_refused_by_name() {
        for (text, message) in [
            (
                "layout=nonsense",
                "unknown layout=nonsense; this kernel has: pseudos, hypervisor, process, nanos",
            ),
            (
                "tables=",
                "unknown tables=; this kernel has: pool, self-leaf, mirror, demand",
            ),
        ] {
            assert_eq!(BootArgs::parse(text).unwrap_err().to_string(), message);
        }
        for text in [
            "selftest=no",
            "selftest=",
            "bench=1",
            "pace=",
            "pace=-1",
            "pace=1s",
            "pace=99999999999999999999",
        ] {
            let error = BootArgs::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text: std::string::String) {
            let _ = BootArgs::parse(&text);
        }
    }
}
