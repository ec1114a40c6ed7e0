//! `fault`: the kernel, or the application, does what must fault; it is reported, and survived.

use pagescope_kernel::command::nanos::FaultKind;
use pagescope_kernel::println;
use pagescope_kernel::program::probe::{self, Fault};
use pagescope_protocol::VirtAddr;

use crate::application::code::Task;
use crate::application::{self, Ending, data_page};
use crate::layout::{APPLICATION, APPLICATION_STACK, USER_HEAP};
use crate::{entry, trap};

/// What does it, and where.
enum Attempt {
    /// The kernel loads.
    Load(VirtAddr),
    /// The kernel stores.
    Store(VirtAddr),
    /// The kernel calls.
    Call(VirtAddr),
    /// The application does.
    User(Task, VirtAddr),
}

/// An address that Sv39 does not have: bit 38 is set, and those above it are not.
const NON_CANONICAL: VirtAddr = VirtAddr::new(1 << 38);

fn attempt(kind: FaultKind) -> Attempt {
    let null = VirtAddr::new(0);
    let text = VirtAddr::new(entry::__text_start.address());
    match kind {
        FaultKind::Null => Attempt::Load(null),
        FaultKind::NullWrite => Attempt::Store(null),
        FaultKind::NullCall => Attempt::Call(null),
        FaultKind::Guard => Attempt::Store(VirtAddr::new(entry::__guard_end.address() - 8)),
        FaultKind::Text => Attempt::Store(text),
        FaultKind::Execute => Attempt::Call(VirtAddr::new(entry::__data_start.address())),
        FaultKind::NonCanonical => Attempt::Load(NON_CANONICAL),
        FaultKind::KernelToUser => Attempt::Load(APPLICATION),
        FaultKind::UserToKernel => Attempt::User(Task::Load, text),
        FaultKind::UserNull => Attempt::User(Task::Load, null),
        FaultKind::UserText => Attempt::User(Task::Store, APPLICATION),
        FaultKind::UserExecute => Attempt::User(Task::Call, data_page()),
        // Behind the program its last page is zeros; 0 is an illegal instruction (unprivileged specification,
        // section "Base Instruction-Length Encoding").
        FaultKind::UserIllegal => {
            let last = data_page().as_u64() - 4;
            Attempt::User(Task::Call, VirtAddr::new(last))
        }
        FaultKind::UserStack => {
            let below = APPLICATION_STACK.start().as_u64() - 8;
            Attempt::User(Task::Store, VirtAddr::new(below))
        }
        FaultKind::UserHeap => Attempt::User(Task::Load, USER_HEAP.end()),
        FaultKind::UserLoop => Attempt::User(Task::Loop, null),
    }
}

/// Makes the fault. The kernel's own are survived; the application is stopped, and says so itself.
pub(crate) fn run(kind: FaultKind) {
    let (address, survived) = match attempt(kind) {
        Attempt::Load(address) => (address, probe::load(address).map(drop)),
        // SAFETY: none of these is mapped writable; were the first instructions written, they have run.
        Attempt::Store(address) => (address, unsafe { probe::store(address, b'P') }),
        // SAFETY: none of these is mapped executable; were it, the trap that follows would be reported.
        Attempt::Call(address) => (address, unsafe { probe::call(address) }),
        Attempt::User(task, address) => {
            return match application::run(task, address.as_u64()) {
                Ok(Ending::Stopped) => {
                    println!("the application was stopped; the kernel carries on")
                }
                Ok(Ending::Exit(_)) => println!("{address} was reached, and should not have been"),
                Err(error) => println!("the application does not run: {error}"),
            };
        }
    };
    match survived {
        Ok(()) => println!("{address} was reached, and should not have been"),
        Err(fault) => print_fault(&fault),
    }
}

fn print_fault(fault: &Fault) {
    let (cause, address) = (fault.cause, fault.address);
    println!("{cause} (scause {}) at {address}", cause.bits());
    trap::say(fault, false);
    println!("  survived");
}
