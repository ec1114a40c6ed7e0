//! Hexadecimal as the protocol writes it: two digits a byte, registers in the target's byte order,
//! which for RISC-V is little-endian.

/// The value of a hexadecimal digit.
pub const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// No digit, in [`VALUES`].
const NONE: u8 = 0xff;

/// [`digit`] of every byte: memory arrives as hexadecimal, so this is the hot loop of a walk.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut byte = 0;
    while byte < 256 {
        if let Some(value) = digit(byte as u8) {
            values[byte] = value;
        }
        byte += 1;
    }
    values
};

/// Appends the bytes that `text` spells to `bytes`. `false`, and nothing appended, where it is not
/// pairs of digits.
pub fn decode_into(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return false;
    }
    let start = bytes.len();
    let mut wrong = 0;
    bytes.extend(pairs.iter().map(|pair| {
        let high = VALUES[usize::from(pair[0])];
        let low = VALUES[usize::from(pair[1])];
        // A digit's value has its upper half clear, `NONE` has not.
        wrong |= (high | low) & 0xf0;
        (high << 4) | (low & 0xf)
    }));
    if wrong != 0 {
        bytes.truncate(start);
    }
    wrong == 0
}

/// The bytes that `text` spells.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    decode_into(text, &mut bytes).then_some(bytes)
}

/// The register that `text` spells, at most eight bytes, the lowest first. `None` also for the `xx`
/// of a register that is not available.
pub fn register(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let bytes = decode(text)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte)),
    )
}

/// The number that `text` spells, the highest digit first.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |value, byte| {
        Some((value << 4) | u64::from(digit(*byte)?))
    })
}

/// `bytes` spelled out.
pub fn encode(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|value| char::from_digit(u32::from(value), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registers_are_little_endian_and_may_be_unavailable() {
        assert_eq!(register(b"049b008000000000"), Some(0x8000_9b04));
        assert_eq!(register(b"xxxxxxxxxxxxxxxx"), None);
        assert_eq!(register(b"000000000000000000"), None);
        assert_eq!(number(b"1f"), Some(31));
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_back(bytes: Vec<u8>) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn anything_else_is_refused(text: Vec<u8>) {
            let valid = text.len() % 2 == 0 && text.iter().all(u8::is_ascii_hexdigit);
            prop_assert_eq!(decode(&text).is_some(), valid);
        }
    }
}
