use super::*;
use crate::model::{booted, kalloc_and_refill};
use crate::self_map::pool::Pool;
use crate::window::Window;
use proptest::prelude::*;
use std::vec::Vec;

#[test]
fn an_overwritten_word_is_found() {
    let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
    let page = kalloc_and_refill(&mut machine, &mut pool)[0];
    let mut holdings = Holdings::NONE;
    holdings.push(&mut machine, page);
    assert_eq!(Holdings::check(&machine, page), Ok(()));
    let address = page.wrapping_add(0x128);
    machine.store(address, 7);
    let damage = Damage {
        address,
        found: 7,
        stored: page.as_u64(),
    };
    assert_eq!(Holdings::check(&machine, page), Err(damage));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Against a plain list.
    #[test]
    fn pages_come_back_newest_first(choices in prop::collection::vec((0u8..4, 0usize..40), 1..80)) {
        let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
        let mut holdings = Holdings::NONE;
        let mut model: Vec<VirtAddr> = Vec::new();
        for (choice, place) in choices {
            match choice {
                0 => {
                    prop_assert_eq!(holdings.pop(&machine), model.pop());
                }
                1 if !model.is_empty() => {
                    let page = model.remove(place % model.len());
                    prop_assert!(holdings.remove(&mut machine, page));
                    prop_assert!(!holdings.remove(&mut machine, page));
                }
                _ => {
                    let page = kalloc_and_refill(&mut machine, &mut pool)[0];
                    holdings.push(&mut machine, page);
                    model.push(page);
                }
            }
            prop_assert_eq!(holdings.newest(), model.last().copied());
            prop_assert_eq!(holdings.count(), model.len() as u64);
        }
        for page in model {
            prop_assert_eq!(Holdings::check(&machine, page), Ok(()));
        }
    }
}
