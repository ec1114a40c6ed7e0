use super::*;
use crate::model::{Access, Machine, booted, kalloc_and_refill, refill};
use crate::self_map::STRATEGIES;
use crate::space::Space;
use crate::window::Window;
use std::vec::Vec;

/// The kernel on the model.
struct OnModel {
    machine: Machine,
    space: Space,
}

impl Subject for OnModel {
    fn map(
        &mut self,
        virt: VirtAddr,
        phys: PhysAddr,
        level: Level,
        flags: LeafFlags,
    ) -> Result<MapReport, MapError> {
        let mapped = self.space.map(&mut self.machine, virt, phys, level, flags);
        refill(&mut self.machine, &mut self.space);
        mapped
    }

    fn unmap(&mut self, virt: VirtAddr) -> Result<u64, UnmapError> {
        let unmapped = self.space.unmap(&mut self.machine, virt);
        refill(&mut self.machine, &mut self.space);
        unmapped
    }

    fn protect(&mut self, virt: VirtAddr, flags: LeafFlags) -> Result<u64, UnmapError> {
        self.space.protect(&mut self.machine, virt, flags)
    }

    fn lookup(&mut self, virt: VirtAddr) -> Translation {
        self.space.lookup(&mut self.machine, virt)
    }

    fn load(&mut self, virt: VirtAddr) -> Option<u64> {
        self.machine.touch(virt)
    }

    fn store(&mut self, virt: VirtAddr, word: u64) -> bool {
        let physical = self.machine.access(virt, Access::Store);
        if let Some(physical) = physical {
            self.machine.store_physical(physical, word);
        }
        physical.is_some()
    }
}

/// The model with every strategy, and its markers; `left` pages are free at the end, or all.
fn subjects(left: Option<usize>) -> impl Iterator<Item = (OnModel, Stress)> {
    STRATEGIES.into_iter().map(move |self_map| {
        let (mut machine, mut space) = booted(self_map, Window::IDENTITY);
        let mut markers = [PhysAddr::new(0); MARKERS];
        for marker in &mut markers {
            let page = kalloc_and_refill(&mut machine, &mut space)[0];
            *marker = PhysAddr::new(page.as_u64());
            machine.store_physical(*marker, marker.as_u64());
        }
        if let Some(left) = left {
            let mut pages: Vec<VirtAddr> = Vec::new();
            while let Some(page) = kalloc_and_refill(&mut machine, &mut space).first() {
                pages.push(*page);
            }
            for page in pages.into_iter().rev().take(left) {
                space.free(&mut machine, page).unwrap();
            }
            refill(&mut machine, &mut space);
        }
        let stress = Stress::new(left.map_or(1, |left| left as u64 + 7), markers);
        (OnModel { machine, space }, stress)
    })
}

fn run(mut subject: OnModel, mut stress: Stress, steps: usize) -> Tally {
    let name = subject.space.self_map().name();
    let before = subject.space.audit(&subject.machine);
    let tables = crate::census::table_frames(&subject.space, &subject.machine);
    stress.look_around(&mut subject);
    for number in 0..steps {
        if let Err(error) = stress.step(&mut subject) {
            panic!("{name}, step {number}: {error}");
        }
    }
    stress.check_all(&mut subject).unwrap();
    stress.clear(&mut subject).unwrap();
    crate::model::assert_windows(&subject.machine, &subject.space);
    let after = subject.space.audit(&subject.machine);
    assert!(after.is_complete(), "{name}: {after:?}");
    // What is in reserve beyond the mark is the only difference.
    let extra = |space: &Space| (space.reserve() - space.self_map().reserve_mark()) as u64;
    assert_eq!(after.in_use, before.in_use, "{name}");
    assert!(after.tables <= before.tables + extra(&subject.space));
    assert_eq!(
        crate::census::table_frames(&subject.space, &subject.machine),
        tables,
        "{name}"
    );
    assert!(subject.space.reserve_lowest() >= subject.space.self_map().reserve_mark());
    stress.tally
}

#[test]
fn every_strategy_survives_stress() {
    for (subject, stress) in subjects(None) {
        let tally = run(subject, stress, 1000);
        assert!(tally.mapped.iter().all(|count| *count > 20), "{tally:?}");
        assert!(tally.tables > 300 && tally.protected > 50, "{tally:?}");
        assert_eq!(tally.no_memory, 0);
    }
}

#[test]
fn every_strategy_survives_it_with_hardly_any_memory() {
    for left in [0, 3, 24] {
        for (subject, stress) in subjects(Some(left)) {
            let tally = run(subject, stress, 400);
            assert!(tally.no_memory > 0, "{tally:?}");
        }
    }
}

/// A subject that is wrong in one way is found out.
#[test]
fn what_is_wrong_is_noticed() {
    struct Lying(OnModel, &'static str);
    impl Subject for Lying {
        fn map(
            &mut self,
            virt: VirtAddr,
            phys: PhysAddr,
            level: Level,
            flags: LeafFlags,
        ) -> Result<MapReport, MapError> {
            self.0.map(virt, phys, level, flags)
        }
        fn unmap(&mut self, virt: VirtAddr) -> Result<u64, UnmapError> {
            match self.1 {
                "unmap" => Ok(4096),
                _ => self.0.unmap(virt),
            }
        }
        fn protect(&mut self, virt: VirtAddr, flags: LeafFlags) -> Result<u64, UnmapError> {
            match self.1 {
                "protect" => Ok(4096),
                _ => self.0.protect(virt, flags),
            }
        }
        fn lookup(&mut self, virt: VirtAddr) -> Translation {
            self.0.lookup(virt)
        }
        fn load(&mut self, virt: VirtAddr) -> Option<u64> {
            match self.1 {
                "load" => Some(7),
                _ => self.0.load(virt),
            }
        }
        fn store(&mut self, virt: VirtAddr, word: u64) -> bool {
            self.1 == "store" || self.0.store(virt, word)
        }
    }
    for lie in ["unmap", "protect", "load", "store"] {
        let (subject, mut stress) = subjects(None).next().unwrap();
        let mut lying = Lying(subject, lie);
        let found = (0..500).find_map(|_| stress.step(&mut lying).err());
        assert!(found.is_some(), "{lie}");
    }
}

#[test]
fn random_pages_are_canonical_and_everywhere() {
    let mut random = Random::new(3);
    let pages: Vec<VirtAddr> = (0..1000).map(|_| random.page()).collect();
    assert!(pages.iter().all(|page| MODE.is_canonical(*page)));
    let slots: std::collections::BTreeSet<usize> =
        pages.iter().map(|page| Level::L2.index_of(*page)).collect();
    assert!(slots.len() > 350, "{}", slots.len());
}
