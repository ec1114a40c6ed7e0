//! Which space is meant: by name, by hart, by its root table.

use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::{PhysAddr, PhysPage, TranslationMode};

use super::words::parse_number;
use crate::cli::Failure;
use crate::cli::arguments::SpaceChoice;

/// The root table that a choice tells by its address: `--root 0x87ffc000`, `--space "root 0x87ffc000"`.
pub(super) fn root_chosen(
    choice: &SpaceChoice,
) -> Result<Option<(Option<TranslationMode>, PhysPage)>, Failure> {
    let mode = choice.mode.as_deref().map(|name| {
        let known = TranslationMode::WITH_TABLES.into_iter();
        let mut known = known.filter(|mode| !mode.is_guest_stage());
        known
            .find(|mode| mode.to_string().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no mode {name:?}; write Sv32, Sv39, Sv48 or Sv57"
                ))
            })
    });
    let mode = mode.transpose()?;
    let told = choice.root.as_deref().or_else(|| {
        let space = choice.space.as_deref()?;
        space.strip_prefix(ROOT_WORD)
    });
    let Some(text) = told else { return Ok(None) };
    let page = parse_number(text).and_then(|at| {
        let at = PhysAddr::new(at);
        at.page().filter(|page| page.start() == at)
    });
    match page {
        Some(page) => Ok(Some((mode, page))),
        None => Err(Failure::Usage(format!(
            "{text:?} is no root table's address: write the physical address of a page, such as 0x87ffc000"
        ))),
    }
}

/// What the name of a space begins with that is known by its root's address alone.
const ROOT_WORD: &str = "root ";

/// The space that was chosen, by name or by hart.
pub(in crate::cli) fn space_chosen<'a>(
    snapshot: &'a Snapshot,
    choice: &SpaceChoice,
) -> Result<&'a Space, Failure> {
    if let Some((mode, root)) = root_chosen(choice)? {
        let is_it = |space: &&Space| {
            space.root == root
                && mode.is_none_or(|mode| mode == space.mode)
                && space.mode.scheme().is_some()
        };
        let found = snapshot.spaces.iter().find(is_it);
        return found.ok_or_else(|| {
            Failure::Usage(format!(
                "there is no space with its root at {root} in this file; a live guest's can be walked"
            ))
        });
    }
    match &choice.space {
        Some(name) => space_named(snapshot, name),
        None => space_of(snapshot, choice.hart),
    }
}

/// The space of this name, or the only one whose name begins so.
pub(in crate::cli) fn space_named<'a>(
    snapshot: &'a Snapshot,
    name: &str,
) -> Result<&'a Space, Failure> {
    if let Some(space) = snapshot.space_named(name) {
        return Ok(space);
    }
    // `process 3` is not `process 30 sh`, where there is a `process 3 init`.
    let whole_words = format!("{name} ");
    let mut spaces = snapshot.spaces.iter();
    let first = spaces.find(|space| space.name.starts_with(&whole_words));
    let another = spaces.any(|space| space.name.starts_with(&whole_words));
    if let (Some(space), false, false) = (first, another, name.is_empty()) {
        return Ok(space);
    }
    let alike: Vec<&Space> = match name {
        "" => Vec::new(),
        name => {
            let spaces = snapshot.spaces.iter();
            spaces
                .filter(|space| space.name.starts_with(name))
                .collect()
        }
    };
    match alike.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::Usage(match snapshot.spaces.as_slice() {
            [] => format!("there is no space {name:?}: no address space is known"),
            spaces => format!(
                "there is no space {name:?}; there are: {}",
                names(spaces.iter())
            ),
        })),
        several => Err(Failure::Usage(format!(
            "{name:?} may be any of: {}",
            names(several.iter().copied())
        ))),
    }
}

fn names<'a>(spaces: impl Iterator<Item = &'a Space>) -> String {
    let names: Vec<String> = spaces.map(|space| format!("{:?}", space.name)).collect();
    names.join(", ")
}

/// The space of a hart, or an error that says what there is instead.
pub(in crate::cli) fn space_of(snapshot: &Snapshot, hart: u32) -> Result<&Space, Failure> {
    if let Some(space) = snapshot.space_of_hart(hart) {
        return Ok(space);
    }
    let known: Vec<String> = snapshot
        .harts
        .iter()
        .map(|hart| hart.id.to_string())
        .collect();
    if snapshot.harts.iter().any(|known| known.id == hart) {
        return Err(Failure::Target(format!(
            "satp of hart {hart} is not known, so neither are its tables; say it with --satp 0x… if this \
             is a dump, name a space of `pagescope spaces` with --space, or ask with --phys, which works \
             without"
        )));
    }
    Err(Failure::Usage(match known.as_slice() {
        [] => "this file tells of no hart, so of no address space".into(),
        known => format!("there is no hart {hart}; there are: {}", known.join(", ")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    /// `process 3` is the third process, also where there is a thirtieth.
    #[test]
    fn a_name_is_begun_by_whole_words_first() {
        let mut snapshot = fixture::pseudos(1);
        let space = snapshot.spaces[0].clone();
        snapshot.spaces = ["process 30 sh", "process 3 init", "process 31 ls"]
            .map(|name| Space {
                name: name.into(),
                ..space.clone()
            })
            .into();
        let named = |name| space_named(&snapshot, name).map(|space| space.name.clone());
        assert_eq!(named("process 3").ok().as_deref(), Some("process 3 init"));
        assert_eq!(named("process 31").ok().as_deref(), Some("process 31 ls"));
        assert!(named("process").is_err() && named("").is_err());
    }
}
