//! What the kernel's own numbers promise.

use pagescope_protocol::snapshot::KernelFacts;

use super::{Finding, Rule};

/// The most tables that one `map` lacks on Sv39: an L1 and an L0 (S1.7).
const TRAPS_PER_MAP: u64 = 2;

/// `pages` is how many the allocator handed out, where that is known: it maps each of them itself, beside
/// the calls of `map()` that the kernel counts.
pub(super) fn check(facts: &KernelFacts, pages: Option<u64>, findings: &mut Vec<Finding>) {
    let low = facts.reserve_low;
    if let Some(mark) = facts.reserve_mark
        && low < mark
    {
        findings.push(Finding::new(
            Rule::ReserveMark,
            format!("the reserve was filled up to {low} of {mark} pages once"),
        ));
    }
    let traps = facts.machine_table_traps;
    if let (Some(calls), Some(pages)) = (facts.map_calls, pages)
        && traps > calls.saturating_add(pages).saturating_mul(TRAPS_PER_MAP)
    {
        findings.push(Finding::new(
            Rule::TableTraps,
            format!(
                "the machine program took {traps} traps for page tables in {calls} calls of map and \
                 {pages} of kalloc"
            ),
        ));
    }
}
