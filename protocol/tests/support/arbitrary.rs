//! Arbitrary snapshots: everything that a guest, a person with an editor or a damaged disk could
//! make of one and that the format still accepts.

use std::collections::BTreeMap;
use std::sync::Arc;

use pagescope_protocol::access::{AdUpdate, Extensions};
use pagescope_protocol::snapshot::{
    Bookmark, FORMAT_VERSION, FrameContents, Hart, Heap, KernelFacts, LectureStep, LectureView,
    Mapping, PhysicalKind, PhysicalRegion, Pointed, Provenance, Region, RegionKind, RegionSpace,
    Register, Snapshot, Space, SpaceKind, Table, TableEntries, Taken, TraceEvent, TraceKind,
    Unsettled, Watch,
};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Satp, TranslationMode,
    VirtAddr,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Numbers near the edges are as frequent as all others together.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u64..5).prop_map(|n| n * PAGE_SIZE),
        (0u64..5).prop_map(|n| u64::MAX - n * PAGE_SIZE),
        (0u64..40).prop_map(|n| 0x8000_0000 + n * PAGE_SIZE),
        (0u64..64).prop_map(|bit| 1 << bit),
        (0u64..64).prop_map(|bit| (1u64 << bit).wrapping_neg()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        select(vec![
            "",
            ".text",
            "hart 0",
            "kalloc(7) → 0x87ff7000",
            "a \"b\" \\ \n\t{}:,)#"
        ])
        .prop_map(String::from),
    ]
}

/// A title, bookmarks and a lecture for so many moments.
// Not every test program that has this file has lectures.
#[allow(dead_code)]
pub(crate) fn lecture(
    moments: usize,
) -> impl Strategy<Value = (String, Vec<Bookmark>, Vec<LectureStep>)> {
    let stretch = (any::<bool>(), number(), number()).prop_map(|(is_virtual, start, size)| {
        let space = match is_virtual {
            true => RegionSpace::Virtual,
            false => RegionSpace::Physical,
        };
        let size = size.clamp(1, (u64::MAX - start).max(1));
        Pointed::Stretch { space, start, size }
    });
    let level = || (0u8..5).prop_map(|number| Level::from_number(number).expect("five levels"));
    let pointed = prop_oneof![
        virt().prop_map(Pointed::Virtual),
        phys().prop_map(Pointed::Physical),
        stretch,
        (level(), page()).prop_map(|(level, frame)| Pointed::Table { level, frame }),
        (level(), page(), any::<u16>()).prop_map(|(level, table, index)| Pointed::Entry {
            level,
            table,
            index
        }),
    ];
    let view = select(vec![
        LectureView::Virtual,
        LectureView::Tables,
        LectureView::Physical,
        LectureView::Other,
    ]);
    let looked = (
        option::of(pointed),
        option::of(name()),
        option::of(any::<u32>()),
        option::of(view),
    );
    let step =
        (0..moments, name(), looked).prop_map(|(moment, caption, (select, space, hart, view))| {
            LectureStep {
                moment,
                caption,
                select,
                space,
                hart,
                view,
            }
        });
    let bookmark = (0..moments, name()).prop_map(|(moment, name)| Bookmark { moment, name });
    (name(), vec(bookmark, 0..4), vec(step, 0..5))
}

fn virt() -> impl Strategy<Value = VirtAddr> {
    number().prop_map(VirtAddr::new)
}

fn phys() -> impl Strategy<Value = PhysAddr> {
    number().prop_map(PhysAddr::new)
}

fn page() -> impl Strategy<Value = PhysPage> {
    number().prop_map(|number| PhysPage::from_truncated(number / PAGE_SIZE))
}

fn flags() -> impl Strategy<Value = LeafFlags> {
    any::<u8>().prop_map(|bits| LeafFlags::from_bits_retain(bits | 1))
}

/// A table's words: mostly empty, with runs, or anything at all.
pub(crate) fn entries() -> impl Strategy<Value = TableEntries> {
    let sparse = || {
        vec(
            (0..ENTRIES_PER_TABLE, 1usize..20, any::<u64>(), number()),
            0..6,
        )
    };
    let sparse = || {
        sparse().prop_map(|runs| {
            let mut words = [0; ENTRIES_PER_TABLE];
            for (first, length, word, step) in runs {
                let run = words.iter_mut().skip(first).take(length);
                let mut next = word;
                for place in run {
                    *place = next;
                    next = next.wrapping_add(step);
                }
            }
            words
        })
    };
    let dense = vec(any::<u64>(), ENTRIES_PER_TABLE);
    // Sv32's tables and the G-stage's roots are longer.
    let long = (sparse(), select(&[1024usize, 2048, 4096])).prop_map(|(words, length)| {
        let mut words = words.to_vec();
        words.resize(length, 0);
        words.rotate_right(7);
        TableEntries::new(words)
    });
    prop_oneof![
        9 => sparse().prop_map(TableEntries::new),
        1 => dense.prop_map(TableEntries::new),
        2 => long,
    ]
}

fn mode() -> impl Strategy<Value = TranslationMode> {
    prop_oneof![
        2 => Just(TranslationMode::Sv39),
        1 => (0u8..16).prop_map(TranslationMode::from_satp_mode),
    ]
}

fn heap() -> impl Strategy<Value = Heap> {
    (number(), phys(), phys(), phys(), phys(), number()).prop_map(
        |(counter, counter_address, top, bottom, next, freed)| Heap {
            counter,
            counter_address,
            top,
            bottom,
            next,
            freed,
        },
    )
}

fn taken() -> impl Strategy<Value = Taken> {
    let moved = (vec(page(), 0..4), vec(any::<u32>(), 0..3), any::<bool>());
    let running = moved.prop_map(|(mut tables, harts, kernel)| {
        tables.sort_unstable();
        tables.dedup();
        Taken::Running(Unsettled {
            tables,
            harts,
            kernel,
        })
    });
    prop_oneof![Just(Taken::Stopped), running]
}

fn kernel() -> impl Strategy<Value = KernelFacts> {
    let newer = any::<(Option<u64>, Option<u64>)>();
    let told = (name(), name(), any::<[u64; 5]>(), newer);
    told.prop_map(|(layout, strategy, numbers, (reserve_mark, map_calls))| {
        let [
            kalloc_depth_max,
            reserve,
            reserve_low,
            machine_table_traps,
            changing,
        ] = numbers;
        KernelFacts {
            layout,
            strategy,
            kalloc_depth_max,
            reserve,
            reserve_low,
            reserve_mark,
            map_calls,
            machine_table_traps,
            changing,
        }
    })
}

fn hart() -> impl Strategy<Value = Hart> {
    let register = (name(), number()).prop_map(|(name, value)| Register { name, value });
    let satp = number().prop_map(Satp::from_bits);
    (
        any::<u32>(),
        option::of(virt()),
        name(),
        option::of(name()),
        option::of(satp),
        vec(register, 0..4),
    )
        .prop_map(|(id, pc, place, privilege, satp, registers)| Hart {
            id,
            pc,
            place,
            privilege,
            satp,
            registers,
        })
}

fn physical() -> impl Strategy<Value = PhysicalRegion> {
    let kinds = vec![PhysicalKind::Ram, PhysicalKind::Rom, PhysicalKind::Device];
    (phys(), number(), select(kinds), name()).prop_map(|(start, size, kind, name)| PhysicalRegion {
        start,
        size,
        kind,
        name,
    })
}

fn region() -> impl Strategy<Value = Region> {
    let spaces = vec![RegionSpace::Physical, RegionSpace::Virtual];
    let kinds = select(RegionKind::ALL.to_vec());
    let words = (name(), option::of(name()), name(), name());
    (number(), number(), select(spaces), kinds, words).prop_map(
        |(start, size, space, kind, (name, owner, tag, description))| Region {
            start,
            size,
            space,
            kind,
            name,
            owner,
            tag,
            description,
        },
    )
}

fn event() -> impl Strategy<Value = Arc<TraceEvent>> {
    let words = (name(), option::of(name()), option::of(flags()));
    let numbers = (number(), number(), number(), virt(), any::<[u64; 2]>());
    let kinds = select(TraceKind::ALL.to_vec());
    (0u64..20, kinds, numbers, words).prop_map(|(sequence, kind, numbers, words)| {
        let (address, size, argument, caller, [hart, time]) = numbers;
        let (symbol, space, flags) = words;
        Arc::new(TraceEvent {
            sequence,
            kind,
            address,
            size,
            argument,
            flags,
            caller,
            symbol,
            hart,
            space,
            time,
        })
    })
}

fn table() -> impl Strategy<Value = Arc<Table>> {
    let level = select(Level::ALL.to_vec());
    let links = (option::of(page()), any::<u16>(), 0u32..3);
    (level, page(), virt(), links, option::of(entries())).prop_map(
        |(level, frame, covers_from, (parent, parent_index, other_parents), entries)| {
            Arc::new(Table {
                level,
                frame,
                covers_from,
                parent,
                parent_index,
                other_parents,
                entries,
            })
        },
    )
}

fn mapping() -> impl Strategy<Value = Mapping> {
    let sizes = select(vec![
        1u64 << 12,
        1 << 16,
        1 << 21,
        1 << 30,
        1 << 39,
        1 << 63,
    ]);
    (virt(), phys(), number(), sizes, flags(), name()).prop_map(
        |(virt, phys, size, page_size, flags, name)| {
            // A mapping ends at the last address at the latest; a file with another is refused.
            let room = u64::MAX - virt.as_u64().max(phys.as_u64());
            let size = size.clamp(1, room.saturating_add(1));
            Mapping {
                virt,
                phys,
                size,
                page_size,
                flags,
                name,
            }
        },
    )
}

/// Tables and mappings stand in the order in which a capture puts them.
fn space() -> impl Strategy<Value = Space> {
    let kinds = vec![
        SpaceKind::Kernel,
        SpaceKind::Hart,
        SpaceKind::Process,
        SpaceKind::Guest,
        SpaceKind::GuestPhysical,
        SpaceKind::Other,
    ];
    let whose = (
        option::of(select(kinds)),
        option::of(any::<u64>()),
        option::of(any::<String>()),
    );
    let ids = (any::<u16>(), page(), vec(any::<u32>(), 0..3), any::<bool>());
    (
        name(),
        mode(),
        (ids, whose),
        vec(table(), 0..6),
        vec(mapping(), 0..8),
    )
        .prop_map(
            |(name, mode, (ids, (kind, number, through)), tables, mappings)| {
                let (asid, root, harts, truncated) = ids;
                let key = |table: &Arc<Table>| {
                    let level = std::cmp::Reverse(table.level);
                    (level, table.covers_from, table.frame)
                };
                let tables: BTreeMap<_, _> = tables
                    .into_iter()
                    .map(|table| (key(&table), table))
                    .collect();
                let mappings: BTreeMap<_, _> = mappings
                    .into_iter()
                    .map(|mapping| (mapping.virt, mapping))
                    .collect();
                Space {
                    name,
                    mode,
                    asid,
                    root,
                    kind,
                    number,
                    harts,
                    through,
                    truncated,
                    tables: tables.into_values().collect(),
                    mappings: mappings.into_values().collect(),
                }
            },
        )
}

/// Any snapshot.
pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    let provenance =
        any::<[String; 5]>().prop_map(|[tool, guest, machine, link, captured_at]| Provenance {
            tool,
            guest,
            machine,
            link,
            captured_at,
            extensions: Extensions {
                svnapot: Some(true),
                svpbmt: None,
                ad: Some(AdUpdate::Faults),
            },
        });
    let watch = (name(), phys(), option::of(any::<u64>()), 1_u8..=8).prop_map(
        |(name, address, value, bytes)| Watch {
            name,
            address,
            value,
            bytes,
        },
    );
    let frame = (page(), entries()).prop_map(|(frame, words)| FrameContents { frame, words });
    (
        (provenance, name(), taken(), (name(), vec(name(), 0..3))),
        (option::of(kernel()), option::of(heap())),
        vec(hart(), 0..3),
        (vec(physical(), 0..5), vec(region(), 0..8)),
        (vec(watch, 0..2), vec(frame, 0..2), vec(event(), 0..6)),
        vec(space(), 0..3),
    )
        .prop_map(
            |(
                (provenance, stop, taken, (notes, warnings)),
                (kernel, heap),
                harts,
                (physical, regions),
                (watches, frames, trace),
                spaces,
            )| Snapshot {
                version: FORMAT_VERSION,
                provenance,
                stop,
                taken,
                notes,
                warnings,
                kernel,
                heap,
                harts,
                physical: physical.into(),
                regions: regions.into(),
                watches,
                spaces,
                frames: frames.into(),
                trace: trace.into(),
            },
        )
}
