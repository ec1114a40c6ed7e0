//! The lectures that the program carries: they open, they are small, and what their captions claim is in their
//! snapshots.

use std::collections::BTreeSet;

use pagescope::assets::{Lecture, lecture, lectures};
use pagescope::export::html::lecture_html;
use pagescope::model::{Difference, Focus, History, Moment, ReverseIndex, Selection, Slide};
use pagescope_protocol::snapshot::{RegionSpace, Space};
use pagescope_protocol::{Level, PhysAddr, VirtAddr};

fn open(lecture: &Lecture) -> History {
    History::from_text(lecture.text).unwrap_or_else(|error| panic!("{}: {error}", lecture.name))
}

fn named(name: &str) -> (History, Vec<Slide>) {
    let history = open(lecture(name).expect("it comes with the program"));
    let slides = history.slides();
    (history, slides)
}

fn moment<'a>(history: &'a History, slide: &Slide) -> &'a Moment {
    let place = history.place_of(slide.moment).expect("its moment is there");
    &history.moments()[place]
}

fn space<'a>(history: &'a History, slide: &Slide) -> &'a Space {
    let snapshot = &moment(history, slide).snapshot;
    match &slide.space {
        Some(name) => snapshot.space_named(name).expect("its space is there"),
        None => snapshot.spaces.first().expect("there is a space"),
    }
}

fn pa(space: &Space, address: u64) -> Option<PhysAddr> {
    let translation = space.translate(VirtAddr::new(address));
    translation.mapped().map(|mapped| mapped.address)
}

#[test]
fn each_is_small_has_a_caption_at_every_step_and_shows_what_it_points_at() {
    assert_eq!(lectures().len(), 5);
    for lecture in lectures() {
        let name = lecture.name;
        assert!(lecture.text.len() < 300 << 10, "{name}");
        let history = open(lecture);
        assert_eq!(history.notebook().pages().title, lecture.title);
        let slides = history.slides();
        assert!((5..=10).contains(&slides.len()), "{name}");
        for (number, slide) in slides.iter().enumerate() {
            let words = slide.caption.split_whitespace().count();
            assert!((5..120).contains(&words), "{name}, step {number}: {words}");
            assert!(!slide.caption.contains(['{', '}']), "{name}, step {number}");
            let space = space(&history, slide);
            let index = ReverseIndex::new(space);
            let focus = Focus::resolve(Some(space), &index, slide.select);
            let is_shown = slide.select == Selection::Nothing || focus.virt.is_some();
            assert!(is_shown, "{name}, step {number}: {:?}", slide.select);
            // The path of the machine that made it is nobody's business.
            assert!(!lecture.text.contains("/tmp/"), "{name}");
        }
        let page = lecture_html(&history, name);
        assert_eq!(
            page.matches("<section class=\"step\"").count(),
            slides.len()
        );
    }
}

/// An address that a caption names is mapped, is a table, or lies in a region; or the caption says that it is not.
#[test]
fn the_self_map_is_as_it_is_told() {
    let (history, slides) = named("self-map");
    let space = space(&history, &slides[0]);
    assert_eq!(space.root.start(), PhysAddr::new(0x87ff_c000));
    for (window, level, index) in [
        (0x87ff_c000_u64, Level::L2, 508),
        (0x87ff_d000, Level::L1, 509),
        (0x87ff_e000, Level::L0, 510),
    ] {
        assert_eq!(pa(space, window), Some(PhysAddr::new(window)));
        let translation = space.translate(VirtAddr::new(window));
        let last = translation.trail.iter().last().expect("a walk");
        assert_eq!(
            (last.table.start().as_u64(), last.index),
            (0x87ff_e000, index)
        );
        let frame = PhysAddr::new(window).page().expect("a frame");
        assert!(space.table_at(frame, level).is_some());
    }
    let last = slides.last().expect("steps");
    let tables = moment(&history, last).difference.new_tables().count();
    assert_eq!(tables, 2);
    let all = self::space(&history, last).tables.len();
    assert!(
        last.caption
            .contains(&format!("There are {all} tables now"))
    );
}

#[test]
fn the_new_table_comes_with_the_page_that_fills_the_old_one() {
    let (history, slides) = named("crossing-2mib");
    let news: Vec<(usize, u64)> = (history.moments().iter().enumerate())
        .flat_map(|(place, moment)| {
            let tables = moment.difference.new_tables();
            tables.map(move |(_, frame)| (place, frame.start().as_u64()))
        })
        .collect();
    assert_eq!(news, [(3, 0x87ff_8000)]);
    let told = &slides[4];
    assert_eq!(history.place_of(told.moment), Some(3));
    for words in ["0x87ff8000", "0x87e00000", "the counter is 512"] {
        assert!(told.caption.contains(words), "{words}");
    }
    let heaps: Vec<u64> = (history.moments().iter())
        .filter_map(|moment| moment.snapshot.heap.map(|heap| heap.counter))
        .collect();
    assert_eq!(heaps, [508, 509, 510, 512, 513, 516]);
    assert!(pa(space(&history, told), 0x87df_f000).is_some());
    let before = &history.moments()[2].snapshot.spaces[0];
    assert_eq!(pa(before, 0x87df_f000), None);
    let first = history.moments()[0].snapshot.spaces[0].tables.len();
    assert!(
        slides[2]
            .caption
            .contains(&format!("The tables are still {first}."))
    );
}

#[test]
fn a_trap_for_each_level_that_is_missing() {
    let (history, slides) = named("demand-fault");
    let traps = |slide: &Slide| {
        let kernel = moment(&history, slide).snapshot.kernel.clone();
        kernel.expect("our kernel's facts").machine_table_traps
    };
    let counted: Vec<u64> = slides.iter().map(traps).collect();
    assert_eq!(counted, [0, 0, 2, 2, 2, 3, 3]);
    for (slide, count) in slides.iter().zip(counted).skip(2) {
        if slide.caption.contains("traps") {
            assert!(
                slide.caption.contains(&format!("{count} trap")),
                "{}",
                slide.caption
            );
        }
    }
    // The entry is where the formula says.
    let shown = space(&history, &slides[2]);
    assert_eq!(pa(space(&history, &slides[1]), 0x1_0000_0000), None);
    let table = pa(shown, 0xffff_ffff_c080_0000).and_then(PhysAddr::page);
    let walked = shown.translate(VirtAddr::new(0x1_0000_0000));
    let last = walked.trail.iter().last().expect("a walk");
    assert_eq!((Some(last.table), last.index), (table, 0));
}

#[test]
fn one_address_leads_each_hart_to_a_frame_of_its_own() {
    let (history, slides) = named("cpu-structs");
    let mut frames = BTreeSet::new();
    for slide in &slides[2..6] {
        let space = space(&history, slide);
        let frame = pa(space, 0xffff_ffc0_4000_0000).expect("it is mapped");
        assert!(
            slide.caption.contains(&frame.to_string()),
            "{}",
            slide.caption
        );
        frames.insert(frame.as_u64());
    }
    assert_eq!(frames.len(), 4);
    let code = |slide: &Slide| pa(space(&history, slide), 0xffff_ffc0_0020_0000);
    assert!(code(&slides[2]).is_some());
    assert!(
        slides[2..6]
            .iter()
            .all(|slide| code(slide) == code(&slides[2]))
    );
}

#[test]
fn the_stack_grows_by_the_pages_that_are_told() {
    let (history, slides) = named("stack-growth");
    let pages = |slide: &Slide| {
        let (space, snapshot) = (space(&history, slide), &moment(&history, slide).snapshot);
        let mut regions = snapshot.regions.iter();
        let stack = regions
            .find(|it| {
                let is_its = it.owner.as_deref().is_none_or(|of| of == space.name);
                it.name == "user stack" && it.space == RegionSpace::Virtual && is_its
            })
            .expect("it has a stack");
        let pages: Vec<u64> = (stack.start..stack.start + stack.size)
            .step_by(4096)
            .collect();
        assert!(pages.iter().all(|page| pa(space, *page).is_some()));
        assert_eq!(pa(space, stack.start - 4096), None, "room below it");
        pages.len()
    };
    let grown: Vec<usize> = slides[3..6].iter().map(pages).collect();
    assert!(grown.is_sorted() && grown[0] < grown[2], "{grown:?}");
    for (slide, count) in slides[3..6].iter().zip(&grown) {
        assert!(
            slide.caption.contains(&format!("{count} pages")),
            "{}",
            slide.caption
        );
    }
    assert_eq!((pages(&slides[0]), pages(&slides[6])), (1, 1));
    let between = |one: usize, other: usize| {
        let [one, other] = [one, other].map(|at| &moment(&history, &slides[at]).snapshot);
        Difference::between(one, other)
    };
    assert!(!between(3, 5).is_empty());
}
