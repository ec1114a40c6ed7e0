//! Where everything lies: the arithmetic of the document's drawing.
//!
//! ```text
//!  0x0000000000  image, lower piece      physical 0x80200000 and up
//!  0x003fe00000  image, upper piece, and behind it the kernel heap: the same RAM, UPPER further up
//!  0x0050000000  device IO               physical 0x10000000 and up, a page at a time
//!  0x3fc0000000  user space: the GiB at the top of the lower half, which ends at 0x3fffffffff
//! ```
//!
//! A user space repeats the kernel's distances: .text lies at its bottom, and a process's shared data as
//! far above as the kernel's own shared data lies above the kernel's .text. So instructions that reach
//! shared data relative to the program counter reach the kernel's when the kernel runs them at 0, and
//! the process's when a user runs them at [`USER_BASE`]. What lies between is the room that a user space
//! has; it is measured out downwards from the shared data:
//!
//! ```text
//!  shared data              begins where the linker put it: not on a page boundary (S3.9)
//!  user stack               1 page, which it shares with the shared data (S3.6)
//!  user stack room          the rest of its maximum: not mapped until it is written to
//!  user stack guard         1 page, never mapped (S3.7)
//!  user heap room           not mapped until brk
//!  user heap                0 pages at first (S3.8)
//! ```

use pagescope_protocol::{Level, PAGE_SIZE, VirtAddr, VirtRange};
use thiserror::Error;

use crate::board;
use crate::window::Window;

/// How much further up the image's upper piece is linked than it would follow on the lower one: the kernel
/// stack and all that lies above. Almost a GiB, for that is how much room a user space has, and a multiple
/// of 2 MiB, so that large leaves serve. The linker script has it, too.
pub const UPPER: u64 = 0x3fe0_0000;

/// The window through which the image's lower piece is seen: physical 0x80200000 at 0.
pub const LOWER_WINDOW: Window = Window::at_distance(0u64.wrapping_sub(LOAD));

/// The window through which the upper piece and the kernel heap are seen.
pub const HEAP_WINDOW: Window = Window::at_distance(UPPER.wrapping_sub(LOAD));

/// Where the image is loaded.
pub const LOAD: u64 = board::SUPERVISOR_START.as_u64();

/// Where the device IO pages begin.
pub const IO_BASE: VirtAddr = VirtAddr::new(0x5000_0000);

/// How many device IO pages there are: a page of `virt`'s devices each, from UART0 on.
pub const IO_PAGES: u64 = 16;

/// The physical address that the first of them is for.
pub const IO_PHYSICAL: u64 = board::UART0.start().as_u64();

/// The bottom of user space: where users see .text.
pub const USER_BASE: VirtAddr = VirtAddr::new(0x3f_c000_0000);

/// Bytes of user space: what one entry of a root table covers.
pub const USER_SIZE: u64 = Level::L2.entry_size();

const _: () = assert!(USER_BASE.is_aligned(USER_SIZE));
const _: () = assert!(UPPER.is_multiple_of(Level::L1.entry_size()));
const _: () = assert!(board::RAM.end().as_u64() - LOAD + UPPER <= IO_BASE.as_u64());

/// How large a process may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserLimits {
    /// Pages of its stack at most, the first one included.
    pub stack_pages: u64,
    /// Pages of its heap at most (S3.8).
    pub heap_pages: u64,
}

/// Where the linker put what users see, too: the kernel's addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Image {
    /// .text: whole pages.
    pub text: VirtRange,
    /// .rodata: whole pages.
    pub rodata: VirtRange,
    /// The kernel's own shared data, which begins somewhere within a page.
    pub shared: VirtRange,
}

/// Why there is no such user space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LayoutError {
    /// A stack without a page.
    #[error("a stack needs at least one page")]
    NoStack,
    /// It would reach down to .rodata.
    #[error("{stack_pages} pages of stack and {heap_pages} of heap do not fit into user space")]
    TooLarge {
        /// Pages of stack.
        stack_pages: u64,
        /// Pages of heap.
        heap_pages: u64,
    },
}

/// Where the parts of one user space lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserLayout {
    /// What it was made from.
    pub limits: UserLimits,
    /// .text, as users see it.
    pub text: VirtRange,
    /// .rodata, as users see it.
    pub rodata: VirtRange,
    /// The process's own shared data.
    pub shared: VirtRange,
    /// The lowest page that the stack may ever have.
    pub stack_limit: VirtAddr,
    /// The page that is never mapped.
    pub guard: VirtRange,
    /// Where the heap begins.
    pub heap_base: VirtAddr,
}

/// As users see what the kernel sees at `range`.
const fn for_users(range: VirtRange) -> VirtRange {
    let start = range.start().wrapping_add(USER_BASE.as_u64());
    match VirtRange::new(start, range.size()) {
        Some(range) => range,
        // The kernel's addresses end far below.
        None => panic!("a part of the image wraps around"),
    }
}

impl UserLayout {
    /// Measures out a user space.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn new(image: &Image, limits: UserLimits) -> Result<Self, LayoutError> {
        let UserLimits {
            stack_pages,
            heap_pages,
        } = limits;
        let rodata = for_users(image.rodata);
        let shared = for_users(image.shared);
        if stack_pages == 0 {
            return Err(LayoutError::NoStack);
        }
        let too_large = LayoutError::TooLarge {
            stack_pages,
            heap_pages,
        };
        let first_page = shared.start().align_down(PAGE_SIZE);
        let down = |from: VirtAddr, pages: u64| {
            let bytes = pages.checked_mul(PAGE_SIZE)?;
            let address = from.as_u64().checked_sub(bytes)?;
            (address >= rodata.end().as_u64()).then_some(VirtAddr::new(address))
        };
        let stack_limit = down(first_page, stack_pages - 1).ok_or(too_large)?;
        let guard = down(stack_limit, 1).ok_or(too_large)?;
        let heap_base = down(guard, heap_pages).ok_or(too_large)?;
        Ok(Self {
            limits,
            text: for_users(image.text),
            rodata,
            shared,
            stack_limit,
            guard: VirtRange::new(guard, PAGE_SIZE).ok_or(too_large)?,
            heap_base,
        })
    }

    /// Where the stack pointer starts: at the shared data's first byte, rounded down as the calling
    /// convention wants it.
    pub const fn stack_top(&self) -> VirtAddr {
        self.shared.start().align_down(16)
    }

    /// The page in which stack and shared data meet.
    pub const fn meeting_page(&self) -> VirtAddr {
        self.shared.start().align_down(PAGE_SIZE)
    }

    /// The lowest byte of a stack of so many pages.
    pub const fn stack_bottom(&self, pages: u64) -> VirtAddr {
        VirtAddr::new(self.meeting_page().as_u64() - (pages - 1) * PAGE_SIZE)
    }

    /// The stack, which has so many pages.
    pub fn stack(&self, pages: u64) -> VirtRange {
        between(self.stack_bottom(pages), self.shared.start())
    }

    /// What the stack may still grow into.
    pub fn stack_room(&self, pages: u64) -> VirtRange {
        between(self.stack_limit, self.stack_bottom(pages))
    }

    /// The heap, which has so many pages.
    pub fn heap(&self, pages: u64) -> VirtRange {
        between(
            self.heap_base,
            self.heap_base.wrapping_add(pages * PAGE_SIZE),
        )
    }

    /// What the heap may still grow into.
    pub fn heap_room(&self, pages: u64) -> VirtRange {
        between(self.heap(pages).end(), self.guard.start())
    }

    /// From the heap's bottom to the end of the shared data's last page.
    pub fn dynamic(&self) -> VirtRange {
        let last = self.shared.end().as_u64().next_multiple_of(PAGE_SIZE);
        between(self.heap_base, VirtAddr::new(last))
    }

    /// How many frames the tables of such a space take, whatever is mapped in it at the moment: the
    /// root, one L1, and an L0 for each 2 MiB that something may ever be mapped in (S3.2).
    pub fn table_frames(&self) -> u64 {
        let size = Level::L0.table_size();
        let number = |address: VirtAddr| address.as_u64() / size;
        let last = |range: VirtRange| number(VirtAddr::new(range.end().as_u64() - 1));
        let image = (number(self.text.start()), last(self.rodata));
        let dynamic = (number(self.heap_base), last(self.dynamic()));
        let shared_one = u64::from(image.1 == dynamic.0);
        2 + (image.1 - image.0 + 1) + (dynamic.1 - dynamic.0 + 1) - shared_one
    }
}

/// From `start` up to `end`, which is not below.
fn between(start: VirtAddr, end: VirtAddr) -> VirtRange {
    VirtRange::from_bounds(start, end).unwrap_or_else(|| panic!("{end} is below {start}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn range(start: u64, end: u64) -> VirtRange {
        between(VirtAddr::new(start), VirtAddr::new(end))
    }

    pub(crate) fn image() -> Image {
        Image {
            text: range(0, 0x2_8000),
            rodata: range(0x2_8000, 0x3_2000),
            shared: range(0x3fe7_89c0, 0x3fe7_8a40),
        }
    }

    pub(crate) const SMALL: UserLimits = UserLimits {
        stack_pages: 8,
        heap_pages: 16,
    };

    #[test]
    fn the_parts_lie_in_the_documents_order() {
        let layout = UserLayout::new(&image(), SMALL).unwrap();
        assert_eq!(layout.shared.start(), VirtAddr::new(0x3f_ffe7_89c0));
        assert_eq!(layout.stack_top(), VirtAddr::new(0x3f_ffe7_89c0));
        assert_eq!(layout.stack(1), range(0x3f_ffe7_8000, 0x3f_ffe7_89c0));
        assert_eq!(layout.stack_room(1), range(0x3f_ffe7_1000, 0x3f_ffe7_8000));
        assert_eq!(layout.guard, range(0x3f_ffe7_0000, 0x3f_ffe7_1000));
        assert_eq!(layout.heap_room(2), range(0x3f_ffe6_2000, 0x3f_ffe7_0000));
        assert_eq!(layout.heap(2), range(0x3f_ffe6_0000, 0x3f_ffe6_2000));
        assert_eq!(layout.text, range(0x3f_c000_0000, 0x3f_c002_8000));
    }

    #[test]
    fn the_windows_show_the_image_where_it_is_linked() {
        let page = |address: u64| pagescope_protocol::PhysAddr::new(address).page().unwrap();
        assert_eq!(
            LOWER_WINDOW.address_of(page(0x8020_1000)),
            VirtAddr::new(0x1000)
        );
        assert_eq!(
            HEAP_WINDOW.address_of(page(0x8020_1000)),
            VirtAddr::new(0x3fe0_1000)
        );
        assert_eq!(
            HEAP_WINDOW.address_of(page(0x87ff_f000)),
            VirtAddr::new(0x47bf_f000)
        );
    }

    #[test]
    fn larger_limits_take_more_tables() {
        let frames = |stack_pages, heap_pages| {
            let limits = UserLimits {
                stack_pages,
                heap_pages,
            };
            UserLayout::new(&image(), limits).unwrap().table_frames()
        };
        // Root, L1, the L0 of .text and .rodata, the L0 at the top.
        assert_eq!(frames(8, 16), 4);
        assert_eq!(frames(1024, 0), 6);
        assert_eq!(frames(1024, 2048), 10);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let new = |stack_pages, heap_pages| {
            let limits = UserLimits {
                stack_pages,
                heap_pages,
            };
            UserLayout::new(&image(), limits)
        };
        assert_eq!(new(0, 1), Err(LayoutError::NoStack));
        for (stack_pages, heap_pages) in [(1 << 18, 0), (1, u64::MAX), (u64::MAX, 1)] {
            let refused = LayoutError::TooLarge {
                stack_pages,
                heap_pages,
            };
            assert_eq!(new(stack_pages, heap_pages), Err(refused));
        }
        assert!(new(100_000, 100_000).is_ok());
    }

    proptest! {
        #[test]
        fn any_limits_give_parts_that_follow_on_each_other(
            stack_pages in 1_u64..70_000,
            heap_pages in 0_u64..130_000,
            stack in 1_u64..70_000,
            heap in 0_u64..130_000,
        ) {
            let layout = UserLayout::new(&image(), UserLimits { stack_pages, heap_pages }).unwrap();
            let (stack, heap) = (stack.min(stack_pages), heap.min(heap_pages));
            prop_assert!(layout.rodata.end() <= layout.heap_base);
            prop_assert_eq!(layout.heap(heap).end(), layout.heap_room(heap).start());
            prop_assert_eq!(layout.heap_room(heap).end(), layout.guard.start());
            prop_assert_eq!(layout.guard.end(), layout.stack_room(stack).start());
            prop_assert_eq!(layout.stack_room(stack).end(), layout.stack(stack).start());
            prop_assert_eq!(layout.stack(stack).end(), layout.shared.start());
            prop_assert_eq!(
                layout.shared.start().as_u64() - layout.text.start().as_u64(),
                image().shared.start().as_u64() - image().text.start().as_u64()
            );
        }
    }
}
