//! The heaps and the tables, on the model of the machine, held against shadows.

mod heaps;
mod id_heap;
mod tables;
