//! What a user's fault leads to.

use pagescope_protocol::{PAGE_SIZE, VirtAddr};

use super::space::UserSpace;
use crate::fault::Cause;

/// What is done about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A store below the stack, into the room that it has: it gets so many pages, and the store is tried
    /// again (S3.6).
    GrowStack(u64),
    /// The guard was touched: the process ends (S3.7).
    StackOverflow,
    /// Anything else: the process ends (S3.12).
    Refused,
}

/// What is done about the fault `cause` at `address` of a user in `space`.
pub fn judge(space: &UserSpace, cause: Cause, address: VirtAddr) -> Verdict {
    let layout = space.layout();
    let room = layout.stack_room(space.stack_pages());
    let is_about_address = matches!(
        cause,
        Cause::LOAD_PAGE_FAULT | Cause::STORE_PAGE_FAULT | Cause::INSTRUCTION_PAGE_FAULT
    );
    if cause == Cause::STORE_PAGE_FAULT && room.contains(address) {
        let missing = room.end().as_u64() - address.align_down(PAGE_SIZE).as_u64();
        Verdict::GrowStack(space.stack_pages() + missing / PAGE_SIZE)
    } else if is_about_address && layout.guard.contains(address) {
        Verdict::StackOverflow
    } else {
        Verdict::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::layout::UserLayout;
    use crate::process::layout::tests::{SMALL, image};
    use crate::process::rig::Rig;
    use crate::process::space::Origin;

    #[test]
    fn only_stores_into_the_room_grow_the_stack() {
        let mut rig = Rig::new();
        let layout = UserLayout::new(&image(), SMALL).unwrap();
        let origin = Origin {
            kernel_root: rig.kernel_root,
            original: VirtAddr::new(0x3fe6_f000),
            asid: 1,
        };
        let mut space =
            UserSpace::build(&mut rig.memory, &mut rig.frames, layout, &origin).unwrap();
        let store = Cause::STORE_PAGE_FAULT;
        let judge = |space: &UserSpace, cause, address| judge(space, cause, VirtAddr::new(address));
        // The stack's page is 0x3fffe78000, its room begins at 0x3fffe71000, the guard is below.
        for (cause, address, verdict) in [
            (store, 0x3f_ffe7_7ff8, Verdict::GrowStack(2)),
            (store, 0x3f_ffe7_7000, Verdict::GrowStack(2)),
            (store, 0x3f_ffe7_6fff, Verdict::GrowStack(3)),
            (store, 0x3f_ffe7_1000, Verdict::GrowStack(8)),
            (store, 0x3f_ffe7_0fff, Verdict::StackOverflow),
            (store, 0x3f_ffe7_0000, Verdict::StackOverflow),
            (store, 0x3f_ffe6_ffff, Verdict::Refused),
            (Cause::LOAD_PAGE_FAULT, 0x3f_ffe7_7ff8, Verdict::Refused),
            (
                Cause::LOAD_PAGE_FAULT,
                0x3f_ffe7_0800,
                Verdict::StackOverflow,
            ),
            (Cause::ILLEGAL_INSTRUCTION, 0x3f_ffe7_0800, Verdict::Refused),
            (store, 0, Verdict::Refused),
        ] {
            assert_eq!(judge(&space, cause, address), verdict, "{address:#x}");
        }
        space
            .grow_stack(&mut rig.memory, &mut rig.frames, 8)
            .unwrap();
        // A store to what is mapped by now is not the stack's business.
        assert_eq!(judge(&space, store, 0x3f_ffe7_7ff8), Verdict::Refused);
    }
}
