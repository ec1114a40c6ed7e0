//! Sizes as people say them.

/// `bytes` in the largest binary unit that leaves a number of at least one: `4 KiB`, `1.2 GiB`.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (bytes.checked_ilog2().unwrap_or(0) / 10) as usize;
    let whole = bytes >> (10 * unit);
    let rest = bytes - (whole << (10 * unit));
    if unit == 0 || rest == 0 {
        return format!("{whole} {}", UNITS[unit]);
    }
    // Three significant digits are enough to compare two sizes by eye.
    let value = bytes as f64 / (1u64 << (10 * unit)) as f64;
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size_text;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (4096, "4 KiB"),
            (2 << 20, "2 MiB"),
            ((1 << 30) + (200 << 20), "1.2 GiB"),
            (255 << 30, "255 GiB"),
            (127 << 20 | 4096, "127 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }
}
