//! How addresses, flags and modes stand in a file: `"0x87ffc000"`, `"rw---ad"`, `"Sv39"`.
//!
//! Numbers are written as strings of hexadecimal, which RON, JSON and people all keep exact; a
//! plain number is accepted too, so a file may be edited by hand.

use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize as _, Serializer};

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::Level;
use crate::mode::TranslationMode;
use crate::pte::LeafFlags;
use crate::satp::Satp;
use crate::scheme::Xlen;

/// The number that `text` says in hexadecimal after `0x`, or in decimal.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // The library takes a leading plus; no file of ours has one.
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

/// A number as it stands in a file.
struct Written {
    bits: u64,
    /// How many hexadecimal digits it has; 0 for any other number.
    digits: usize,
}

struct Number;

impl Visitor<'_> for Number {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number such as \"0x80000000\"")
    }

    fn visit_u64<E: de::Error>(self, bits: u64) -> Result<Written, E> {
        Ok(Written { bits, digits: 0 })
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Written, E> {
        let bits = u64::try_from(number);
        bits.map(|bits| Written { bits, digits: 0 })
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
        let digits = text.strip_prefix("0x").map_or(0, str::len);
        parse(text)
            .map(|bits| Written { bits, digits })
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Written, D::Error> {
    from.deserialize_any(Number)
}

/// A module for `#[serde(with = …)]` and one for its `Option`, from what a value is written as
/// and how a number becomes one.
macro_rules! as_number {
    ($name:ident, $option:ident, $type:ty, $write:expr, $read:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn serialize<S: Serializer>(
                value: &$type,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                let write: fn($type) -> String = $write;
                to.serialize_str(&write(*value))
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<$type, D::Error> {
                let read: fn(Written) -> Option<$type> = $read;
                let written = number(from)?;
                let bits = written.bits;
                read(written)
                    .ok_or_else(|| de::Error::custom(format!("{bits:#x} is out of range here")))
            }
        }

        #[allow(dead_code, reason = "not every type has an optional use")]
        pub(super) mod $option {
            use super::*;

            struct Wrapped($type);

            impl<'de> serde::Deserialize<'de> for Wrapped {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    super::$name::deserialize(from).map(Self)
                }
            }

            impl serde::Serialize for Wrapped {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    super::$name::serialize(&self.0, to)
                }
            }

            pub(in super::super) fn serialize<S: Serializer>(
                value: &Option<$type>,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&value.map(Wrapped), to)
            }

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Option<$type>, D::Error> {
                Ok(Option::<Wrapped>::deserialize(from)?.map(|wrapped| wrapped.0))
            }
        }
    };
}

as_number!(word, option_word, u64, word_text, |written| Some(
    written.bits
));
as_number!(
    phys_addr,
    option_phys_addr,
    PhysAddr,
    |value| value.to_string(),
    |written| Some(PhysAddr::new(written.bits))
);
as_number!(
    virt_addr,
    option_virt_addr,
    VirtAddr,
    |value| value.to_string(),
    |written| Some(VirtAddr::new(written.bits))
);
as_number!(
    phys_page,
    option_phys_page,
    PhysPage,
    |value| value.to_string(),
    |written| {
        let address = PhysAddr::new(written.bits);
        if address.page_offset() == 0 {
            address.page()
        } else {
            None
        }
    }
);
as_number!(satp, option_satp, Satp, satp_text, |written| {
    let xlen = if written.digits == RV32_DIGITS {
        Xlen::Rv32
    } else {
        Xlen::Rv64
    };
    Some(Satp::from_bits_of(written.bits, xlen))
});

/// Digits of a register of RV32.
const RV32_DIGITS: usize = 8;

/// Frames as a list of their addresses, in order and each once.
pub(super) mod phys_pages {
    use alloc::vec::Vec;

    use super::{Deserializer, PhysPage, Serializer};

    struct Frame(PhysPage);

    impl serde::Serialize for Frame {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            super::phys_page::serialize(&self.0, to)
        }
    }

    impl<'de> serde::Deserialize<'de> for Frame {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            super::phys_page::deserialize(from).map(Self)
        }
    }

    pub(in super::super) fn serialize<S: Serializer>(
        frames: &[PhysPage],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(frames.iter().copied().map(Frame))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<PhysPage>, D::Error> {
        let frames = <Vec<Frame> as serde::Deserialize>::deserialize(from)?;
        let mut frames: Vec<PhysPage> = frames.into_iter().map(|frame| frame.0).collect();
        frames.sort_unstable();
        frames.dedup();
        Ok(frames)
    }
}

/// A number in hexadecimal.
pub(super) fn word_text(value: u64) -> String {
    format!("{value:#x}")
}

/// satp with all its digits, so that its fields can be told apart: eight on RV32, sixteen on RV64.
pub(super) fn satp_text(value: Satp) -> String {
    match value.xlen() {
        Xlen::Rv32 => format!("{:#010x}", value.bits()),
        Xlen::Rv64 => format!("{:#018x}", value.bits()),
    }
}

/// Registers as a map from names to values, in their order.
pub(super) mod registers {
    use alloc::vec::Vec;

    use serde::de::MapAccess;
    use serde::ser::SerializeMap as _;

    use super::super::Register;
    use super::*;

    struct Value(u64);

    impl<'de> serde::Deserialize<'de> for Value {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            number(from).map(|written| Self(written.bits))
        }
    }

    struct Registers;

    impl<'de> Visitor<'de> for Registers {
        type Value = Vec<Register>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("registers such as {\"sp\": \"0x80016000\"}")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut registers = Vec::new();
            while let Some((name, Value(value))) = map.next_entry()? {
                registers.push(Register { name, value });
            }
            Ok(registers)
        }
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &[Register],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(value.len()))?;
        for register in value {
            map.serialize_entry(&register.name, &word_text(register.value))?;
        }
        map.end()
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Register>, D::Error> {
        from.deserialize_map(Registers)
    }
}

/// Flags as `rwxugad`.
pub(super) mod flags {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &LeafFlags,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<LeafFlags, D::Error> {
        let text = String::deserialize(from)?;
        LeafFlags::from_letters(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is not a set of flags such as \"rw---ad\""
            ))
        })
    }
}

/// Flags where there are any.
pub(super) mod option_flags {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<LeafFlags>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(flags) => to.serialize_some(&flags.to_string()),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<LeafFlags>, D::Error> {
        struct Wrapped(LeafFlags);

        impl<'de> serde::Deserialize<'de> for Wrapped {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                flags::deserialize(from).map(Self)
            }
        }

        Ok(Option::<Wrapped>::deserialize(from)?.map(|wrapped| wrapped.0))
    }
}

/// A mode's name, or its number in satp where it has none.
pub(super) fn mode_text(mode: TranslationMode) -> String {
    match mode {
        TranslationMode::Reserved(number) => number.to_string(),
        named => named.to_string(),
    }
}

/// A translation mode by its name, or by its number in satp where it has none.
pub(super) mod mode {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &TranslationMode,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&mode_text(*value))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<TranslationMode, D::Error> {
        let text = String::deserialize(from)?;
        let by_number = || {
            let number: u8 = text.parse().ok()?;
            (number < 16).then(|| TranslationMode::from_satp_mode(number))
        };
        TranslationMode::from_name(&text)
            .or_else(by_number)
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "{text:?} is not a translation mode such as \"Sv39\""
                ))
            })
    }
}

/// A level by its number.
pub(super) mod level {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Level,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_u8(value.number())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Level, D::Error> {
        let number = u8::deserialize(from)?;
        Level::from_number(number)
            .ok_or_else(|| de::Error::custom(format!("{number} is not a level: 0 to 4")))
    }
}
