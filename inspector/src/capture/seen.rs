//! The address spaces that harts ran in at earlier stops.
//!
//! A guest that says nothing of its spaces shows one for each hart and stop. Those of before stay on the
//! list, are walked again at each capture, and leave it when their root is no table any more: a kernel
//! that frees one fills it with something else, or uses it for something else.

use pagescope_protocol::snapshot::{Snapshot, SpaceKind};
use pagescope_protocol::walk::TableReader as _;
use pagescope_protocol::{PhysPage, Satp, TranslationMode};

use super::scan::frame::looks_like_root;
use super::tables::FreshTables;
use crate::guest::MachineMap;
use crate::guest::info::KernelSpace;
use crate::link::{LinkError, Target};

/// Most spaces that are remembered; the oldest are forgotten first.
const MAX_SEEN: usize = 64;

/// Where harts ran, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Vec<(TranslationMode, PhysPage)>);

impl Seen {
    /// Remembers where harts run now.
    pub(super) fn remember(&mut self, snapshot: &Snapshot) {
        let running = snapshot.spaces.iter().filter(|space| {
            space.mode.scheme().is_some() && !space.mode.is_guest_stage() && !space.harts.is_empty()
        });
        for space in running {
            let root = (space.mode, space.root);
            self.0.retain(|known| *known != root);
            self.0.push(root);
        }
        let surplus = self.0.len().saturating_sub(MAX_SEEN);
        self.0.drain(..surplus);
    }

    /// Those that are still tables, where no hart is running and that are not among `published`; what is no
    /// table any more is forgotten.
    ///
    /// # Errors
    /// When the target is lost.
    pub(super) fn spaces(
        &mut self,
        target: &mut dyn Target,
        machine: &MachineMap,
        running: &[(TranslationMode, PhysPage)],
        published: &[KernelSpace],
    ) -> Result<Vec<KernelSpace>, LinkError> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let frames: Vec<PhysPage> = self.0.iter().map(|(_, root)| *root).collect();
        let tables = FreshTables::new(target, machine).read_tables(&frames)?;
        let is_table: Vec<bool> = self
            .0
            .iter()
            .zip(tables)
            .map(|((mode, _), words)| {
                words.is_some_and(|words| looks_like_root(*mode, &words[..], machine))
            })
            .collect();
        let mut still = is_table.into_iter();
        self.0.retain(|_| still.next().unwrap_or(false));
        let is_new = |seen: &&(TranslationMode, PhysPage)| {
            let is_it = |space: &KernelSpace| (space.satp.mode(), space.satp.root()) == **seen;
            !running.contains(seen) && !published.iter().any(is_it)
        };
        let spaces = self
            .0
            .iter()
            .filter(is_new)
            .map(|(mode, root)| KernelSpace {
                name: root_name("seen root", published, *root),
                kind: SpaceKind::Seen,
                number: None,
                satp: Satp::new(*mode, 0, *root),
            });
        Ok(spaces.collect())
    }
}

/// `root 0x87ffc000`, or with a sign where another space has that name.
pub(super) fn root_name(word: &str, published: &[KernelSpace], root: PhysPage) -> String {
    let mut name = format!("{word} {root}");
    while published.iter().any(|space| space.name == name) {
        name.push('*');
    }
    name
}
