//! Where structs have their members, as the compiler laid them out.
//!
//! Only what stands at the top of a unit is looked at, so that a kernel with 100 MiB of debug
//! information costs a fraction of a second. Members of unnamed structs and unions count as their
//! parents' (C11, section 6.7.2.1).

use std::collections::BTreeMap;

use addr2line::gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, Operation, Unit, UnitOffset,
    constants as dw,
};

use super::{Reader, Sections};
use crate::guest::profile::field::Path;

/// How deep types are followed: typedefs, qualifiers, unnamed members.
const MAX_DEPTH: usize = 24;

/// Most entries that are looked at; a Linux has 20 million of them.
const MAX_ENTRIES: u64 = 200_000_000;

/// Most units.
const MAX_UNITS: usize = 100_000;

/// A member that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its offset in each struct on the way: one, and one more behind each pointer.
    pub offsets: Vec<u64>,
    /// Its bytes; 0 where they are not told.
    pub size: u64,
}

/// An array of structs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArrayType {
    /// How many there are; 0 where it is not told.
    pub count: u64,
    /// Bytes from one to the next; 0 where it is not told.
    pub stride: u64,
}

/// The types of a file.
pub struct Types<'a> {
    dwarf: Dwarf<Reader<'a>>,
    units: Vec<Unit<Reader<'a>>>,
    /// Names of structs and of variables, as far as they were wanted: where they stand.
    structs: BTreeMap<String, Place>,
    variables: BTreeMap<String, Place>,
}

/// An entry: its unit, and where it is there.
#[derive(Clone, Copy)]
struct Place {
    unit: usize,
    at: UnitOffset,
}

type Entry<'a> = DebuggingInformationEntry<Reader<'a>>;

impl<'a> Types<'a> {
    /// The types in `sections`: of these structs and variables, and of what they lead to.
    pub(crate) fn new(sections: &'a Sections, structs: &[&str], variables: &[&str]) -> Self {
        let dwarf = sections.dwarf();
        let mut types = Self {
            units: Vec::new(),
            dwarf,
            structs: BTreeMap::new(),
            variables: BTreeMap::new(),
        };
        let mut headers = types.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            if types.units.len() == MAX_UNITS {
                break;
            }
            if let Ok(unit) = types.dwarf.unit(header) {
                types.units.push(unit);
            }
        }
        types.look_for(structs, variables);
        types
    }

    /// Finds definitions by name.
    fn look_for(&mut self, structs: &[&str], variables: &[&str]) {
        let mut seen = 0;
        for (number, unit) in self.units.iter().enumerate() {
            let is_done = structs.iter().all(|name| self.structs.contains_key(*name))
                && variables
                    .iter()
                    .all(|name| self.variables.contains_key(*name));
            if is_done || seen > MAX_ENTRIES {
                return;
            }
            let Ok(mut tree) = unit.entries_tree(None) else {
                continue;
            };
            let Ok(root) = tree.root() else { continue };
            let mut children = root.children();
            while let Ok(Some(child)) = children.next() {
                seen += 1;
                let entry = child.entry();
                let (known, wanted) = match entry.tag() {
                    dw::DW_TAG_structure_type | dw::DW_TAG_union_type => {
                        (&mut self.structs, structs)
                    }
                    dw::DW_TAG_variable => (&mut self.variables, variables),
                    _ => continue,
                };
                // A declaration says nothing of what is in it.
                let declares = entry.attr_value(dw::DW_AT_declaration);
                if matches!(declares, Some(AttributeValue::Flag(true)))
                    && entry.tag() != dw::DW_TAG_variable
                {
                    continue;
                }
                let Some(name) = name_of(&self.dwarf, unit, entry) else {
                    continue;
                };
                if wanted.contains(&name.as_str()) && entry.has_attr(dw::DW_AT_type)
                    || wanted.contains(&name.as_str()) && entry.tag() != dw::DW_TAG_variable
                {
                    known.entry(name).or_insert(Place {
                        unit: number,
                        at: entry.offset(),
                    });
                }
            }
        }
    }

    /// The member that `path` leads to, from the struct of this name.
    pub fn member(&mut self, of: &str, path: &Path) -> Option<Member> {
        let mut place = self.definition(of)?;
        let mut offsets = Vec::new();
        let mut size = 0;
        let hops = path.hops();
        for (number, hop) in hops.iter().enumerate() {
            let mut offset = 0u64;
            let mut member = None;
            for name in hop {
                let at = match member {
                    None => place,
                    Some(ty) => self.structure(ty)?,
                };
                let (from, ty) = self.member_in(at, name, 0)?;
                offset = offset.checked_add(from)?;
                member = Some(ty);
            }
            offsets.push(offset);
            let ty = member?;
            size = self.size_of(ty, 0).unwrap_or(0);
            if number + 1 < hops.len() {
                let pointer = self.plain(ty)?;
                let entry = self.entry(pointer)?;
                if entry.tag() != dw::DW_TAG_pointer_type {
                    return None;
                }
                let target = self.type_of(pointer, &entry)?;
                place = self.structure(target)?;
            }
        }
        Some(Member { offsets, size })
    }

    /// The array that the variable of this name is.
    pub fn array(&self, variable: &str) -> Option<ArrayType> {
        let place = *self.variables.get(variable)?;
        let entry = self.entry(place)?;
        let array = self.plain(self.type_of(place, &entry)?)?;
        let entry = self.entry(array)?;
        if entry.tag() != dw::DW_TAG_array_type {
            return None;
        }
        let stride = self.size_of(self.type_of(array, &entry)?, 0).unwrap_or(0);
        Some(ArrayType {
            count: self.count_of(array).unwrap_or(0),
            stride,
        })
    }

    /// Bytes of the struct of this name.
    pub fn struct_size(&mut self, name: &str) -> Option<u64> {
        let place = self.definition(name)?;
        self.size_of(place, 0)
    }

    fn definition(&mut self, name: &str) -> Option<Place> {
        if !self.structs.contains_key(name) {
            self.look_for(&[name], &[]);
        }
        self.structs.get(name).copied()
    }

    /// The definition of the struct that `ty` is, which may only be declared where it stands.
    fn structure(&mut self, ty: Place) -> Option<Place> {
        let place = self.plain(ty)?;
        let entry = self.entry(place)?;
        if !entry.has_attr(dw::DW_AT_declaration) {
            return Some(place);
        }
        let name = name_of(&self.dwarf, self.units.get(place.unit)?, &entry)?;
        self.definition(&name)
    }

    /// The member `name` of the struct at `place`: its offset and type.
    fn member_in(&self, place: Place, name: &str, depth: usize) -> Option<(u64, Place)> {
        if depth > MAX_DEPTH {
            return None;
        }
        let unit = self.units.get(place.unit)?;
        let mut tree = unit.entries_tree(Some(place.at)).ok()?;
        let root = tree.root().ok()?;
        let mut children = root.children();
        let mut unnamed = Vec::new();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            if entry.tag() != dw::DW_TAG_member {
                continue;
            }
            let here = Place {
                unit: place.unit,
                at: entry.offset(),
            };
            let Some(ty) = self.type_of(here, entry) else {
                continue;
            };
            let offset = member_offset(unit, entry)?;
            match name_of(&self.dwarf, unit, entry) {
                Some(known) if known == name => return Some((offset, ty)),
                Some(_) => {}
                None => unnamed.push((offset, ty)),
            }
        }
        unnamed.into_iter().find_map(|(offset, ty)| {
            let (inside, found) = self.member_in(self.plain(ty)?, name, depth + 1)?;
            Some((offset.checked_add(inside)?, found))
        })
    }

    /// What `ty` is without typedefs and qualifiers.
    fn plain(&self, ty: Place) -> Option<Place> {
        let mut place = ty;
        for _ in 0..MAX_DEPTH {
            let entry = self.entry(place)?;
            match entry.tag() {
                dw::DW_TAG_typedef
                | dw::DW_TAG_const_type
                | dw::DW_TAG_volatile_type
                | dw::DW_TAG_restrict_type
                | dw::DW_TAG_atomic_type => place = self.type_of(place, &entry)?,
                _ => return Some(place),
            }
        }
        None
    }

    fn size_of(&self, ty: Place, depth: usize) -> Option<u64> {
        if depth > MAX_DEPTH {
            return None;
        }
        let place = self.plain(ty)?;
        let entry = self.entry(place)?;
        if let Some(size) = entry.attr_value(dw::DW_AT_byte_size) {
            return size.udata_value();
        }
        match entry.tag() {
            dw::DW_TAG_pointer_type => {
                Some(u64::from(self.units.get(place.unit)?.header.address_size()))
            }
            dw::DW_TAG_array_type => {
                let element = self.size_of(self.type_of(place, &entry)?, depth + 1)?;
                element.checked_mul(self.count_of(place)?)
            }
            _ => None,
        }
    }

    /// How many elements the array at `place` has.
    fn count_of(&self, place: Place) -> Option<u64> {
        let unit = self.units.get(place.unit)?;
        let mut tree = unit.entries_tree(Some(place.at)).ok()?;
        let root = tree.root().ok()?;
        let mut children = root.children();
        let mut count = None;
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            if entry.tag() != dw::DW_TAG_subrange_type {
                continue;
            }
            let number = |name| entry.attr_value(name).and_then(|v| v.udata_value());
            let one = number(dw::DW_AT_count)
                .or_else(|| number(dw::DW_AT_upper_bound).and_then(|last| last.checked_add(1)))?;
            count = Some(count.unwrap_or(1u64).checked_mul(one)?);
        }
        count
    }

    /// What the type attribute of `entry`, at `place`, leads to.
    fn type_of(&self, place: Place, entry: &Entry<'a>) -> Option<Place> {
        match entry.attr_value(dw::DW_AT_type)? {
            AttributeValue::UnitRef(at) => Some(Place {
                unit: place.unit,
                at,
            }),
            AttributeValue::DebugInfoRef(at) => self.place_at(at),
            _ => None,
        }
    }

    /// An entry by its place in the whole section.
    fn place_at(&self, at: DebugInfoOffset) -> Option<Place> {
        let offset = |unit: &Unit<Reader<'a>>| unit.header.debug_info_offset();
        let after = self
            .units
            .partition_point(|unit| offset(unit).is_some_and(|start| start <= at));
        let number = after.checked_sub(1)?;
        let at = at.to_unit_offset(&self.units[number].header)?;
        Some(Place { unit: number, at })
    }

    fn entry(&self, place: Place) -> Option<Entry<'a>> {
        self.units.get(place.unit)?.entry(place.at).ok()
    }
}

fn name_of(
    dwarf: &Dwarf<Reader<'_>>,
    unit: &Unit<Reader<'_>>,
    entry: &Entry<'_>,
) -> Option<String> {
    let value = entry.attr_value(dw::DW_AT_name)?;
    let text = dwarf.attr_string(unit, value).ok()?;
    Some(String::from_utf8_lossy(text.slice()).into_owned())
}

/// Where a member is in its struct; a union's members are all at its start.
fn member_offset(unit: &Unit<Reader<'_>>, entry: &Entry<'_>) -> Option<u64> {
    let Some(value) = entry.attr_value(dw::DW_AT_data_member_location) else {
        return Some(0);
    };
    if let Some(offset) = value.udata_value() {
        return Some(offset);
    }
    // DWARF 2 says it as an expression that adds to the struct's address.
    let mut operations = value.exprloc_value()?.operations(unit.header.encoding());
    match operations.next().ok()?? {
        Operation::PlusConstant { value } => Some(value),
        _ => None,
    }
}
