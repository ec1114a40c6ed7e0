//! Numbers and addresses as they are typed.

use pagescope_protocol::VirtAddr;

use crate::cli::Failure;
use crate::guest::ElfFile;

/// A number in hexadecimal, with or without `0x`, as addresses are always written.
pub(in crate::cli) fn parse_number(text: &str) -> Option<u64> {
    let lower = text.trim().replace('_', "").to_lowercase();
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A bare word such as `face` is a symbol, not a number.
    let is_number =
        is_hex && (lower.starts_with("0x") || digits.starts_with(|c: char| c.is_ascii_digit()));
    is_number
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// `0x80200000`, `kalloc`, `kalloc+0x10`.
pub(in crate::cli) fn parse_address(
    text: &str,
    elf: Option<&ElfFile>,
) -> Result<VirtAddr, Failure> {
    let (base, offset) = text.split_once('+').unwrap_or((text, "0"));
    let bad = |part: &str| {
        Failure::Usage(format!(
            "{part:?} is no address: write hexadecimal such as 0x80200000, or a symbol with --elf"
        ))
    };
    let offset = parse_number(offset).ok_or_else(|| bad(offset))?;
    let base_address = match (parse_number(base), elf) {
        (Some(number), _) => VirtAddr::new(number),
        (None, Some(elf)) => elf.require(base).map_err(Failure::usage)?,
        (None, None) => return Err(bad(base)),
    };
    base_address.checked_add(offset).ok_or_else(|| bad(text))
}
