//! The names of a few hundred mappings, packed: one text, and where in it each name stands.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Names by their place. A name that is like the one before it stands once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Names {
    text: Box<str>,
    /// First byte and length of each.
    spans: Box<[(u32, u32)]>,
}

impl Names {
    /// These names; `None` where all are empty, or too long together to be counted.
    pub(super) fn of(names: impl Iterator<Item = impl AsRef<str>>) -> Option<Self> {
        let mut text = String::new();
        let mut spans: Vec<(u32, u32)> = Vec::new();
        let mut last = 0..0;
        for name in names {
            let name = name.as_ref();
            if text.get(last.clone()) != Some(name) {
                last = text.len()..text.len() + name.len();
                text.push_str(name);
            }
            let start = u32::try_from(last.start).ok()?;
            spans.push((start, u32::try_from(last.len()).ok()?));
        }
        (!text.is_empty()).then(|| Self {
            text: text.into(),
            spans: spans.into(),
        })
    }

    /// The name at `place`; empty where there is none.
    pub(super) fn get(&self, place: usize) -> &str {
        let span = self.spans.get(place).and_then(|(start, length)| {
            let start = *start as usize;
            self.text.get(start..start + *length as usize)
        });
        span.unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_back_and_repeated_ones_stand_once() {
        let all = ["", "heap", "heap", "", "stack", "heap"];
        let names = Names::of(all.iter()).unwrap();
        for (place, name) in all.iter().enumerate() {
            assert_eq!(names.get(place), *name);
        }
        assert_eq!(names.get(all.len()), "");
        assert_eq!(&*names.text, "heapstackheap");
        assert_eq!(Names::of(["", ""].iter()), None);
    }
}
