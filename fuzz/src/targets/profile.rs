//! A guest's profile, read, and used on a guest without memory.

use std::path::Path;

use pagescope::guest::profile::text::read;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match read(Path::new("guest.ron"), text) {
        Ok(profile) => assert!(!profile.name.is_empty()),
        Err(error) => assert!(error.to_string().contains("guest.ron"), "{error}"),
    }
}
