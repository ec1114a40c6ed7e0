//! A space's mappings, held so that captures share what did not change.
//!
//! ```text
//!  MappingList ─▶ node ─▶ part   the leaves of one table that are scattered: runs of the decoded table, shared with it
//!              │       └▶ part   ranges, one after the other: what lies between such tables, or came from a file
//!              └▶ node …         begins where a table's links pass a multiple of sixteen, so that a change stays in its node
//! ```
//!
//! A list is read as [`Mapping`]s by value. What did not change between two captures is the same node or part in both,
//! and is found by its address in memory: [`MappingList::apart`].

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Mapping;
use super::names::Names;
use crate::addr::VirtAddr;
use crate::coalesce::{LeafSink, Limits, MappedRange, RunBlock, visit_leaves};
use crate::decode::Decoder;
use crate::walk::SpaceWalk;

/// Fewer runs than this of one table are kept as ranges.
const SCATTERED: usize = 8;

/// Most ranges of one part, where they are no table's.
const MOST_RANGES: usize = 64;

/// Most parts of a node of a list that no walk made.
const MOST_PARTS: usize = 16;

/// A space's mappings in address order. Clones share everything.
#[derive(Clone, Default)]
pub struct MappingList {
    nodes: Arc<[Arc<Node>]>,
    len: usize,
}

struct Node {
    parts: Box<[Arc<Part>]>,
    len: usize,
}

/// Mappings that stand beside each other. It has at least one.
struct Part {
    ranges: Ranges,
    /// A name for each; `None` where none has one.
    names: Option<Names>,
}

#[derive(Clone)]
enum Ranges {
    Listed(Arc<[MappedRange]>),
    Runs(RunBlock),
}

impl Ranges {
    fn len(&self) -> usize {
        match self {
            Self::Listed(ranges) => ranges.len(),
            Self::Runs(block) => block.len(),
        }
    }

    fn get(&self, place: usize) -> Option<MappedRange> {
        match self {
            Self::Listed(ranges) => ranges.get(place).copied(),
            Self::Runs(block) => block.get(place),
        }
    }

    /// Whether both are known to hold the same without looking at each range.
    fn is_shared_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Listed(a), Self::Listed(b)) => Arc::ptr_eq(a, b),
            (Self::Runs(a), Self::Runs(b)) => a.is_shared_with(b),
            _ => false,
        }
    }
}

impl Part {
    fn mapping(&self, place: usize) -> Option<Mapping> {
        let name = self.names.as_ref().map_or("", |names| names.get(place));
        Some(Mapping {
            name: name.into(),
            ..Mapping::from(self.ranges.get(place)?)
        })
    }

    fn all_ranges(&self) -> impl Iterator<Item = MappedRange> + Clone {
        (0..self.ranges.len()).filter_map(|place| self.ranges.get(place))
    }

    fn mappings(&self) -> impl Iterator<Item = Mapping> + Clone {
        (0..self.ranges.len()).filter_map(|place| self.mapping(place))
    }

    fn first(&self) -> Option<VirtAddr> {
        self.ranges.get(0).map(|range| range.virt)
    }

    /// How many of its mappings begin at or below `address`.
    fn begun_by(&self, address: VirtAddr) -> usize {
        let (mut low, mut high) = (0, self.ranges.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.ranges.get(middle) {
                Some(range) if range.virt <= address => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Whether both hold the same; cheap where they share their ranges.
    fn is_like(&self, other: &Self) -> bool {
        let same_ranges = self.ranges.is_shared_with(&other.ranges)
            || match (&self.ranges, &other.ranges) {
                (Ranges::Listed(a), Ranges::Listed(b)) => a == b,
                _ => false,
            };
        same_ranges && self.names == other.names
    }
}

impl Node {
    fn new(parts: Vec<Arc<Part>>) -> Arc<Self> {
        let len = parts.iter().map(|part| part.ranges.len()).sum();
        let parts = parts.into();
        Arc::new(Self { parts, len })
    }

    fn first(&self) -> Option<VirtAddr> {
        self.parts.first().and_then(|part| part.first())
    }
}

impl MappingList {
    /// The mappings of a walked space, and whether a limit cut them short. What is as in `before` is shared with it.
    pub fn of_walk(
        walk: &SpaceWalk,
        limits: Limits,
        decoder: &mut Decoder,
        before: Option<&Self>,
    ) -> (Self, bool) {
        let mut builder = Builder::new(before);
        let truncated = visit_leaves(walk, limits, decoder, &mut builder);
        (builder.finish(), truncated)
    }

    /// How many mappings there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The mappings, in address order.
    pub fn iter(&self) -> impl Iterator<Item = Mapping> + Clone {
        self.parts().flat_map(|part| part.mappings())
    }

    /// The mappings without their names, in address order: cheaper where there are many.
    pub fn ranges(&self) -> impl Iterator<Item = MappedRange> + Clone {
        self.parts().flat_map(|part| part.all_ranges())
    }

    /// Those from the last one that begins at or below `address` on, without their names.
    pub fn ranges_from(&self, address: VirtAddr) -> impl Iterator<Item = MappedRange> {
        let begun = |first: Option<VirtAddr>| first.is_some_and(|first| first <= address);
        let node = self.nodes.partition_point(|node| begun(node.first()));
        let nodes = &self.nodes[node.saturating_sub(1)..];
        let parts = nodes.first().map_or(&[][..], |node| &node.parts);
        let part = parts.partition_point(|part| begun(part.first()));
        let part = part.saturating_sub(1);
        let skipped = parts.get(part).map_or(0, |part| part.begun_by(address));
        let parts = nodes.iter().flat_map(|node| &node.parts).skip(part);
        parts
            .flat_map(|part| part.all_ranges())
            .skip(skipped.saturating_sub(1))
    }

    /// The first one.
    pub fn first(&self) -> Option<Mapping> {
        self.parts().next()?.mapping(0)
    }

    /// The last one.
    pub fn last(&self) -> Option<Mapping> {
        let part = self.nodes.last()?.parts.last()?;
        part.mapping(part.ranges.len().checked_sub(1)?)
    }

    /// The mapping at `place`. Takes time with the number of parts.
    pub fn get(&self, mut place: usize) -> Option<Mapping> {
        for node in self.nodes.iter() {
            if place >= node.len {
                place -= node.len;
                continue;
            }
            for part in &node.parts {
                match place.checked_sub(part.ranges.len()) {
                    None => return part.mapping(place),
                    Some(rest) => place = rest,
                }
            }
        }
        None
    }

    /// The last mapping that begins at or below `address`.
    pub fn last_begun_by(&self, address: VirtAddr) -> Option<Mapping> {
        let begun = |first: Option<VirtAddr>| first.is_some_and(|first| first <= address);
        let node = self.nodes.partition_point(|node| begun(node.first()));
        let node = &self.nodes[node.checked_sub(1)?];
        let part = node.parts.partition_point(|part| begun(part.first()));
        let part = &node.parts[part.checked_sub(1)?];
        part.mapping(part.begun_by(address).checked_sub(1)?)
    }

    /// The mapping that begins at `address`.
    pub fn beginning_at(&self, address: VirtAddr) -> Option<Mapping> {
        self.last_begun_by(address)
            .filter(|mapping| mapping.virt == address)
    }

    /// Whether both are the same list in memory. Where they are not, they can still be equal.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.nodes, &other.nodes)
    }

    /// The mappings of this list and of `other` in parts that the two do not share, each in address order: all that can
    /// differ between them.
    pub fn apart(&self, other: &Self) -> (Vec<Mapping>, Vec<Mapping>) {
        let mappings = |parts: Vec<&Arc<Part>>| -> Vec<Mapping> {
            let parts = parts.into_iter();
            parts.flat_map(|part| part.mappings()).collect()
        };
        (
            mappings(self.parts_without(other)),
            mappings(other.parts_without(self)),
        )
    }

    /// How many of its mappings stand in parts that `other` has not.
    pub fn len_apart(&self, other: &Self) -> usize {
        let parts = self.parts_without(other);
        parts.iter().map(|part| part.ranges.len()).sum()
    }

    /// How many nodes it has: what a list costs of itself, besides what it shares.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn parts_without(&self, other: &Self) -> Vec<&Arc<Part>> {
        if self.is_shared_with(other) {
            return Vec::new();
        }
        let mine = parts_of_other_nodes(self, other);
        let theirs = parts_of_other_nodes(other, self);
        let theirs: BTreeSet<_> = theirs.map(Arc::as_ptr).collect();
        mine.filter(|part| !theirs.contains(&Arc::as_ptr(part)))
            .collect()
    }

    /// This list after the mappings that begin at the addresses in `gone` went and those in `came`, in address order,
    /// came, one in the place of another where it begins where that did. What is not touched is shared.
    pub(super) fn edited(&self, gone: &BTreeSet<VirtAddr>, came: &[Mapping]) -> Self {
        if gone.is_empty() && came.is_empty() {
            return self.clone();
        }
        let mut came = came.iter().peekable();
        let mut nodes = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let next = self.nodes.get(number + 1).and_then(|next| next.first());
            let is_before = |address: VirtAddr| next.is_none_or(|next| address < next);
            let start = match number {
                0 => VirtAddr::new(0),
                _ => node.first().unwrap_or(VirtAddr::new(0)),
            };
            let is_touched = came.peek().is_some_and(|first| is_before(first.virt))
                || gone
                    .range(start..)
                    .next()
                    .is_some_and(|first| is_before(*first));
            if !is_touched {
                nodes.push(Arc::clone(node));
                continue;
            }
            let mut parts = Vec::new();
            for (number, part) in node.parts.iter().enumerate() {
                let next = match node.parts.get(number + 1) {
                    Some(next) => next.first(),
                    None => next,
                };
                let is_before = |address: VirtAddr| next.is_none_or(|next| address < next);
                let start = if number == 0 {
                    start
                } else {
                    part.first().unwrap_or(start)
                };
                let is_touched = came.peek().is_some_and(|first| is_before(first.virt))
                    || gone
                        .range(start..)
                        .next()
                        .is_some_and(|first| is_before(*first));
                if !is_touched {
                    parts.push(Arc::clone(part));
                    continue;
                }
                let mut edited = Vec::with_capacity(part.ranges.len() + 1);
                for mapping in part
                    .mappings()
                    .filter(|mapping| !gone.contains(&mapping.virt))
                {
                    while let Some(new) = came.next_if(|new| new.virt < mapping.virt) {
                        edited.push(new.clone());
                    }
                    match came.next_if(|new| new.virt == mapping.virt) {
                        Some(new) => edited.push(new.clone()),
                        None => edited.push(mapping),
                    }
                }
                while let Some(new) = came.next_if(|new| is_before(new.virt)) {
                    edited.push(new.clone());
                }
                parts.extend(parts_of(&edited));
            }
            if !parts.is_empty() {
                nodes.push(Node::new(parts));
            }
        }
        let rest: Vec<Mapping> = came.cloned().collect();
        nodes.extend(nodes_of(&rest));
        Self::of_nodes(nodes)
    }

    /// Changes the mappings one by one: for who makes snapshots up. Nothing is shared afterwards.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<Mapping>)) {
        let mut mappings = self.iter().collect();
        change(&mut mappings);
        *self = mappings.into();
    }

    /// Whether any mapping has a name.
    pub fn has_names(&self) -> bool {
        self.parts().any(|part| part.names.is_some())
    }

    /// The same mappings, each with the name that `name` gives it.
    pub fn named(&self, mut name: impl FnMut(&MappedRange) -> String) -> Self {
        let node = |node: &Arc<Node>| {
            let part = |part: &Arc<Part>| {
                let ranges = (0..part.ranges.len()).filter_map(|place| part.ranges.get(place));
                let names = Names::of(ranges.map(|range| name(&range)));
                if names == part.names {
                    return Arc::clone(part);
                }
                let ranges = part.ranges.clone();
                Arc::new(Part { ranges, names })
            };
            let parts: Vec<_> = node.parts.iter().map(part).collect();
            let mut both = parts.iter().zip(&node.parts);
            if both.all(|(new, old)| Arc::ptr_eq(new, old)) {
                return Arc::clone(node);
            }
            Node::new(parts)
        };
        Self::of_nodes(self.nodes.iter().map(node).collect())
    }

    /// The same mappings; what is as in `before` is shared with it.
    pub fn sharing(&self, before: &Self) -> Self {
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|node| node_sharing(node.parts.to_vec(), Some(before)));
        list_sharing(nodes.collect(), Some(before))
    }

    fn parts(&self) -> impl Iterator<Item = &Arc<Part>> + Clone {
        self.nodes.iter().flat_map(|node| &node.parts)
    }

    fn of_nodes(nodes: Vec<Arc<Node>>) -> Self {
        let len = nodes.iter().map(|node| node.len).sum();
        let nodes = nodes.into();
        Self { nodes, len }
    }
}

/// The parts of those nodes of `list` that `other` has not.
fn parts_of_other_nodes<'a>(
    list: &'a MappingList,
    other: &MappingList,
) -> impl Iterator<Item = &'a Arc<Part>> {
    let known: BTreeSet<_> = other.nodes.iter().map(Arc::as_ptr).collect();
    let nodes = list.nodes.iter();
    nodes
        .filter(move |node| !known.contains(&Arc::as_ptr(node)))
        .flat_map(|node| &node.parts)
}

fn parts_of(mappings: &[Mapping]) -> impl Iterator<Item = Arc<Part>> {
    mappings.chunks(MOST_RANGES).map(|mappings| {
        let ranges = mappings.iter().map(MappedRange::from).collect();
        let names = Names::of(mappings.iter().map(|mapping| &mapping.name));
        Arc::new(Part {
            ranges: Ranges::Listed(ranges),
            names,
        })
    })
}

fn nodes_of(mappings: &[Mapping]) -> impl Iterator<Item = Arc<Node>> {
    mappings
        .chunks(MOST_RANGES * MOST_PARTS)
        .map(|mappings| Node::new(parts_of(mappings).collect()))
}

/// Makes a list out of leaves.
struct Builder<'a> {
    before: Option<&'a MappingList>,
    nodes: Vec<Arc<Node>>,
    parts: Vec<Arc<Part>>,
    listed: Vec<MappedRange>,
    /// The last range, which the next one may go on.
    open: Option<MappedRange>,
    len: usize,
    group: usize,
}

impl<'a> Builder<'a> {
    const fn new(before: Option<&'a MappingList>) -> Self {
        Self {
            before,
            nodes: Vec::new(),
            parts: Vec::new(),
            listed: Vec::new(),
            open: None,
            len: 0,
            group: 0,
        }
    }

    fn push(&mut self, range: MappedRange) {
        if let Some(open) = &mut self.open
            && open.continues_with(&range)
        {
            open.size += range.size;
            return;
        }
        self.len += 1;
        if let Some(closed) = self.open.replace(range) {
            self.listed.push(closed);
        }
        if self.listed.len() == MOST_RANGES {
            self.end_part();
        }
    }

    /// Makes a part of what is listed; the open range stays open.
    fn end_part(&mut self) {
        if !self.listed.is_empty() {
            let ranges = Ranges::Listed(self.listed.as_slice().into());
            self.listed.clear();
            self.parts.push(Arc::new(Part {
                ranges,
                names: None,
            }));
        }
    }

    fn end_node(&mut self) {
        self.end_part();
        if self.parts.is_empty() {
            return;
        }
        let parts = core::mem::take(&mut self.parts);
        self.nodes.push(node_sharing(parts, self.before));
    }

    fn finish(mut self) -> MappingList {
        if let Some(last) = self.open.take() {
            self.listed.push(last);
        }
        self.end_node();
        list_sharing(self.nodes, self.before)
    }
}

/// A node of these parts, of which there is one at least: that of `before` where it is the same. Parts that are as in
/// `before` are shared, found by where they begin.
fn node_sharing(mut parts: Vec<Arc<Part>>, before: Option<&MappingList>) -> Arc<Node> {
    let first = parts.first().and_then(|part| part.first());
    let old = before.and_then(|before| {
        let place = before.nodes.partition_point(|node| node.first() < first);
        before.nodes.get(place)
    });
    let Some(old) = old else {
        return Node::new(parts);
    };
    for part in &mut parts {
        let place = old.parts.partition_point(|old| old.first() < part.first());
        if let Some(old) = old.parts.get(place)
            && old.is_like(part)
        {
            *part = Arc::clone(old);
        }
    }
    let mut both = parts.iter().zip(&old.parts);
    if parts.len() == old.parts.len() && both.all(|(new, old)| Arc::ptr_eq(new, old)) {
        return Arc::clone(old);
    }
    Node::new(parts)
}

/// A list of these nodes: `before` where it has the same.
fn list_sharing(nodes: Vec<Arc<Node>>, before: Option<&MappingList>) -> MappingList {
    if let Some(before) = before {
        let mut both = nodes.iter().zip(before.nodes.iter());
        if nodes.len() == before.nodes.len() && both.all(|(new, old)| Arc::ptr_eq(new, old)) {
            return before.clone();
        }
    }
    MappingList::of_nodes(nodes)
}

impl LeafSink for Builder<'_> {
    fn block(&mut self, block: RunBlock) {
        let is_scattered = block.len() >= SCATTERED;
        let ends = is_scattered.then(|| block.clone().split_ends()).flatten();
        let Some((first, inner, last)) = ends else {
            for range in block.ranges() {
                self.push(range);
            }
            return;
        };
        // The first and the last one may go on what lies in other tables.
        self.push(first);
        // What comes next begins a part of its own.
        if let Some(open) = self.open.take() {
            self.listed.push(open);
        }
        self.end_part();
        self.len += inner.len();
        self.parts.push(Arc::new(Part {
            ranges: Ranges::Runs(inner),
            names: None,
        }));
        self.push(last);
    }

    fn len(&self) -> usize {
        self.len
    }

    fn entry_of_links(&mut self, index: usize) {
        if index / 16 != self.group {
            self.group = index / 16;
            self.end_node();
        }
    }
}

impl fmt::Debug for MappingList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl PartialEq for MappingList {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || (self.len == other.len && self.iter().eq(other.iter()))
    }
}

impl Eq for MappingList {}

impl From<Vec<Mapping>> for MappingList {
    fn from(mappings: Vec<Mapping>) -> Self {
        Self::of_nodes(nodes_of(&mappings).collect())
    }
}

impl FromIterator<Mapping> for MappingList {
    fn from_iter<I: IntoIterator<Item = Mapping>>(mappings: I) -> Self {
        Vec::from_iter(mappings).into()
    }
}

impl<'a> IntoIterator for &'a MappingList {
    type Item = Mapping;
    type IntoIter = Box<dyn Iterator<Item = Mapping> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Serialize for MappingList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for MappingList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::<Mapping>::deserialize(from).map(Self::from)
    }
}
