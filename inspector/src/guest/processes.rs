//! A kernel's processes, as a profile says how to find them.
//!
//! ```text
//!  profile + ELF ──▶ Plan      where the array or list begins, offsets of members
//!  Plan + memory ──▶ spaces    one for each process with a page table of its own
//! ```
//!
//! Offsets come from the debug information, else from the profile; [`Plan::origin`] says which.
//! The guest's memory may say anything: lists that go in circles end, and what is no table is left out.

use std::collections::BTreeSet;

use pagescope_protocol::snapshot::SpaceKind;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, Satp, TranslationMode};

use super::ElfFile;
use super::dwarf::Sections;
use super::dwarf::types::Types;
use super::info::KernelSpace;
use super::memory::GuestMemory;
use super::profile::field::Field;
use super::profile::{Place, Processes, Profile, RootKind};
use crate::link::LinkError;

/// Most processes that a list is followed to.
const MAX_LISTED: usize = 4096;

/// Most characters of a process's name.
const MAX_NAME: usize = 32;

/// Where a kernel's processes are, in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    spec: Processes,
    walk: Walk,
    page_table: Member,
    state: Option<Member>,
    pid: Option<Member>,
    name: Option<Member>,
    /// Where the offsets are from, in words.
    origin: String,
}

/// How one gets from process to process.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Walk {
    Array {
        start: u64,
        count: u64,
        stride: u64,
        pointers: bool,
    },
    List {
        head: u64,
        head_is_pointer: bool,
        next: Member,
        /// What is taken from the pointer to the next to have its start.
        back: u64,
    },
}

/// A member: an offset in each struct on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Member {
    offsets: Vec<u64>,
    size: u64,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The address spaces.
    pub spaces: Vec<KernelSpace>,
    /// What could not be made sense of, in words.
    pub notes: Vec<String>,
}

/// Where members are, by the debug information or by the profile's numbers.
struct Members<'a, 'b> {
    types: Option<&'a mut Types<'b>>,
    of: &'a str,
    from_types: usize,
    from_profile: usize,
}

impl Members<'_, '_> {
    /// `field` of the struct, or why it is not known.
    fn find(&mut self, field: &Field, default_size: u64) -> Result<Member, String> {
        let told = self
            .types
            .as_mut()
            .and_then(|types| types.member(self.of, &field.path));
        let size = field.size.map(|size| size.0);
        if let Some(member) = told {
            self.from_types += 1;
            let told = Some(member.size).filter(|bytes| (1..=64).contains(bytes));
            return Ok(Member {
                offsets: member.offsets,
                size: size.or(told).unwrap_or(default_size),
            });
        }
        if field.offsets.is_empty() {
            return Err(format!(
                "where {:?} is in struct {} neither the ELF's debug information says nor the profile: \
                 build the kernel with -g, or give `offsets`",
                field.path.text(),
                self.of
            ));
        }
        self.from_profile += 1;
        Ok(Member {
            offsets: field.offsets.iter().map(|offset| offset.0).collect(),
            size: size.unwrap_or(default_size),
        })
    }

    fn find_some(
        &mut self,
        field: Option<&Field>,
        default_size: u64,
    ) -> Result<Option<Member>, String> {
        field
            .map(|field| self.find(field, default_size))
            .transpose()
    }
}

impl Plan {
    /// How to find the processes of a kernel with this profile and ELF. `None`: the profile does not
    /// say.
    ///
    /// # Errors
    /// Why they cannot be found, in words.
    pub fn new(profile: &Profile, elf: &ElfFile) -> Option<Result<Self, String>> {
        let spec = profile.processes.as_ref()?;
        let sections = elf.debug_file().and_then(Sections::read);
        Some(Self::with(spec, elf, sections.as_ref()))
    }

    fn with(spec: &Processes, elf: &ElfFile, sections: Option<&Sections>) -> Result<Self, String> {
        let variable = match &spec.place {
            Place::Array { start, .. } => start.symbol(),
            Place::List { .. } => None,
        };
        let variables: Vec<&str> = variable.into_iter().collect();
        let mut types = sections.map(|sections| Types::new(sections, &[&spec.of], &variables));
        let array = types
            .as_ref()
            .zip(variable)
            .and_then(|(types, name)| types.array(name));
        let own_size = types.as_mut().and_then(|types| types.struct_size(&spec.of));
        let mut members = Members {
            types: types.as_mut(),
            of: &spec.of,
            from_types: 0,
            from_profile: 0,
        };
        // 0: as wide as the machine's registers.
        let pointer = 0;
        let page_table = members.find(&spec.page_table, pointer)?;
        let state = members.find_some(spec.state.as_ref(), 4)?;
        let pid = members.find_some(spec.pid.as_ref(), 4)?;
        let name = members.find_some(spec.name.as_ref(), 16)?;
        let missing = |name: String| format!("its ELF has no symbol {name:?}");
        let walk = match &spec.place {
            Place::Array {
                start,
                count,
                stride,
                pointers,
            } => {
                let told = array.filter(|array| array.count > 0);
                let count = told
                    .map(|array| array.count)
                    .or(count.as_ref().map(|c| c.0));
                let own = array.map(|array| array.stride).filter(|bytes| *bytes > 0);
                let own = own.or(own_size).or(stride.map(|stride| stride.0));
                // Of pointers it is the pointers' own.
                let stride = own.filter(|bytes| *bytes > 0).or(pointers.then_some(0));
                let (Some(count), Some(stride)) = (count, stride) else {
                    return Err(format!(
                        "how many processes {start} has, and how long each is, neither the ELF says \
                         nor the profile: give `count` and `stride`"
                    ));
                };
                Walk::Array {
                    start: start.evaluate(elf).map_err(missing)?,
                    count: count.min(super::profile::MAX_PROCESSES),
                    stride,
                    pointers: *pointers,
                }
            }
            Place::List {
                head,
                head_is_pointer,
                next,
                next_points_to,
            } => {
                let back = members.find_some(next_points_to.as_ref(), pointer)?;
                Walk::List {
                    head: head.evaluate(elf).map_err(missing)?,
                    head_is_pointer: *head_is_pointer,
                    next: members.find(next, pointer)?,
                    back: back.map_or(0, |back| back.offsets[0]),
                }
            }
        };
        let origin = match (members.from_types, members.from_profile) {
            (_, 0) => "offsets from the ELF's debug information".to_owned(),
            (0, _) => "offsets from the profile".to_owned(),
            (types, profile) => {
                format!(
                    "{types} offsets from the ELF's debug information, {profile} from the profile"
                )
            }
        };
        Ok(Self {
            spec: spec.clone(),
            walk,
            page_table,
            state,
            pid,
            name,
            origin,
        })
    }

    /// Where the offsets are from, in words.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The processes' address spaces, walked in `mode` where the profile names no other.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn find(
        &self,
        memory: &mut GuestMemory<'_>,
        mode: TranslationMode,
    ) -> Result<Found, LinkError> {
        let mut found = Found::default();
        let mode = self.spec.mode.as_ref().map_or(mode, |mode| mode.0);
        let mut names = BTreeSet::new();
        let mut roots = BTreeSet::new();
        let mut odd = 0;
        for (index, at) in self
            .addresses(memory, &mut found.notes)?
            .into_iter()
            .enumerate()
        {
            let process = self.process(memory, at)?;
            let Some(process) = process else { continue };
            let root = match self.root(memory, mode, process.page_table)? {
                Some(root) => root,
                None => {
                    odd += usize::from(process.page_table != 0);
                    continue;
                }
            };
            // Threads of one space are one space.
            if !roots.insert(root.root()) {
                continue;
            }
            let mut name = self.called(index, &process);
            if !names.insert(name.clone()) {
                name = format!("{name} (number {index})");
                names.insert(name.clone());
            }
            found.spaces.push(KernelSpace {
                name,
                kind: SpaceKind::Process,
                number: process.pid,
                satp: root,
            });
        }
        if odd > 0 {
            found.notes.push(format!(
                "{odd} processes have a page table that is not in RAM; their spaces are left out"
            ));
        }
        Ok(found)
    }

    /// Where each process's struct is.
    fn addresses(
        &self,
        memory: &mut GuestMemory<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<u64>, LinkError> {
        match &self.walk {
            Walk::Array {
                start,
                count,
                stride,
                pointers,
            } => {
                let stride = match pointers {
                    true => memory.pointer_bytes(),
                    false => *stride,
                };
                let places =
                    (0..*count).map(|index| start.wrapping_add(index.wrapping_mul(stride)));
                memory.prefetch(places.clone())?;
                if !pointers {
                    return Ok(places.collect());
                }
                let mut all = Vec::new();
                for place in places {
                    all.extend(memory.read_pointer(place)?.filter(|at| *at != 0));
                }
                memory.prefetch(all.iter().copied())?;
                Ok(all)
            }
            Walk::List {
                head,
                head_is_pointer,
                next,
                back,
            } => {
                let first = match head_is_pointer {
                    true => memory.read_pointer(*head)?.unwrap_or(0).wrapping_sub(*back),
                    false => *head,
                };
                let mut all = Vec::new();
                let mut seen = BTreeSet::new();
                let mut at = first;
                while at != 0u64.wrapping_sub(*back) && at != 0 && seen.insert(at) {
                    if all.len() == MAX_LISTED {
                        notes.push(format!(
                            "the list of processes does not end; the first {MAX_LISTED} are shown"
                        ));
                        break;
                    }
                    all.push(at);
                    let Some(pointer) = follow(memory, at, next)? else {
                        break;
                    };
                    // A list that ends in nothing.
                    if pointer == 0 {
                        break;
                    }
                    at = pointer.wrapping_sub(*back);
                }
                Ok(all)
            }
        }
    }

    /// What is known of the process at `at`; `None` where nobody is there.
    fn process(&self, memory: &mut GuestMemory<'_>, at: u64) -> Result<Option<Process>, LinkError> {
        let mut number = |member: Option<&Member>| match member {
            Some(member) => follow(memory, at, member),
            None => Ok(None),
        };
        let state = number(self.state.as_ref())?;
        if state.is_some_and(|state| self.spec.unused_states.contains(&state)) {
            return Ok(None);
        }
        let pid = number(self.pid.as_ref())?;
        let Some(page_table) = number(Some(&self.page_table))? else {
            return Ok(None);
        };
        let name = match &self.name {
            Some(member) => text(memory, at, member)?,
            None => String::new(),
        };
        Ok(Some(Process {
            page_table,
            pid,
            name,
        }))
    }

    /// The root that a process's page table member means; `None` where that can be none.
    fn root(
        &self,
        memory: &mut GuestMemory<'_>,
        mode: TranslationMode,
        value: u64,
    ) -> Result<Option<Satp>, LinkError> {
        root_of(memory, mode, self.spec.page_table_is, value)
    }

    fn called(&self, index: usize, process: &Process) -> String {
        let pid = process
            .pid
            .map_or_else(|| "?".into(), |pid| pid.to_string());
        let name = self.spec.called.0.replace("{pid}", &pid);
        let name = name.replace("{index}", &index.to_string());
        name.replace("{name}", &process.name).trim().to_owned()
    }
}

struct Process {
    page_table: u64,
    pid: Option<u64>,
    name: String,
}

/// The kernel's own space, where the profile says where it is.
///
/// # Errors
/// When the target is lost.
pub fn kernel_space(
    profile: &Profile,
    elf: &ElfFile,
    memory: &mut GuestMemory<'_>,
    mode: TranslationMode,
) -> Result<Option<KernelSpace>, LinkError> {
    let Some(spec) = &profile.kernel_space else {
        return Ok(None);
    };
    let Ok(at) = spec.root.evaluate(elf) else {
        return Ok(None);
    };
    let value = match spec.is {
        RootKind::Table => Some(at),
        _ => memory.read_pointer(at)?,
    };
    let Some(value) = value else { return Ok(None) };
    let satp = root_of(memory, mode, spec.is, value)?;
    Ok(satp.map(|satp| KernelSpace {
        name: spec.name.to_string(),
        kind: SpaceKind::Kernel,
        number: None,
        satp,
    }))
}

/// The satp of a root that is told as `is`; `None` where that can be none.
fn root_of(
    memory: &mut GuestMemory<'_>,
    mode: TranslationMode,
    is: RootKind,
    value: u64,
) -> Result<Option<Satp>, LinkError> {
    if value == 0 {
        return Ok(None);
    }
    let (mode, at) = match is {
        RootKind::Table | RootKind::Virtual => match memory.physical(value)? {
            Some(at) => (mode, at.as_u64()),
            None => return Ok(None),
        },
        RootKind::Physical => (mode, value),
        RootKind::Frame => (mode, value.wrapping_mul(PAGE_SIZE)),
        RootKind::Satp => {
            let xlen = mode.scheme().map(|scheme| scheme.xlen).unwrap_or_default();
            let satp = Satp::from_bits_of(value, xlen);
            (satp.mode(), satp.root().start().as_u64())
        }
    };
    if mode.scheme().is_none() || !memory.can_be_root(at) {
        return Ok(None);
    }
    let page = PhysAddr::new(at).page();
    Ok(page.map(|page| Satp::new(mode, 0, page)))
}

/// The number in `member` of the struct at `at`; `None` where a pointer on the way leads nowhere. A
/// pointer of 0 on the way is 0.
fn follow(
    memory: &mut GuestMemory<'_>,
    at: u64,
    member: &Member,
) -> Result<Option<u64>, LinkError> {
    match place(memory, at, member)? {
        Some(0) => Ok(Some(0)),
        Some(at) if member.size == 0 => memory.read_pointer(at),
        Some(at) => memory.read_number(at, member.size),
        None => Ok(None),
    }
}

/// Where `member` of the struct at `at` is; 0 behind a pointer of 0.
fn place(memory: &mut GuestMemory<'_>, at: u64, member: &Member) -> Result<Option<u64>, LinkError> {
    let mut base = at;
    let Some((last, before)) = member.offsets.split_last() else {
        return Ok(None);
    };
    for offset in before {
        match memory.read_pointer(base.wrapping_add(*offset))? {
            None => return Ok(None),
            Some(0) => return Ok(Some(0)),
            Some(next) => base = next,
        }
    }
    Ok(Some(base.wrapping_add(*last)))
}

/// The text in `member` of the struct at `at`, up to its first 0, without what cannot be printed.
fn text(memory: &mut GuestMemory<'_>, at: u64, member: &Member) -> Result<String, LinkError> {
    let bytes = match place(memory, at, member)? {
        None | Some(0) => None,
        Some(at) => memory.read(at, member.size)?,
    };
    let bytes = bytes.unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0);
    let text = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned();
    let plain = text.chars().filter(|c| !c.is_control() && *c != '\u{fffd}');
    Ok(plain.take(MAX_NAME).collect())
}

#[cfg(test)]
mod tests;
