//! The nanos layout's memory management: heaps of addresses, and tables that never wait for a mapping.
//!
//! ```text
//!  region_allocator   early: carves from the top of free RAM, which shrinks
//!        │ what is left
//!        ▼
//!  physical   virtual_huge, 2^32 bytes each ──▶ virtual_page, pages ──▶ kalloc's pages     id heaps:
//!        │         parent                  child, 2 units, and parent         child       addresses only
//!        │                                           │
//!        └──────────────▶ kernel_heaps ◀─────────────┘
//!                 backed = physical + virtual_page + map_range ──▶ general, small objects
//!                              │                │
//!                  table_pool ─┘                └─▶ tracking: a tag and a description for each
//! ```
//!
//! The names are the document's, whose kernel has them in `src/runtime/kernel_heaps.h`.

pub mod general;
pub mod id_heap;
pub mod kernel_heaps;
pub mod region_allocator;
pub mod stress;
pub mod table_pool;
pub mod tables;
pub mod tracking;

#[cfg(test)]
mod tests;
