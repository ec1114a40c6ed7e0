//! `fault KIND`: what must fault, done on purpose, reported in the words of any other fault, and survived.

use pagescope_kernel::command::process::FaultKind;
use pagescope_kernel::println;
use pagescope_kernel::process::layout::USER_BASE;
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::program::probe::{self, Fault};
use pagescope_protocol::VirtAddr;

use crate::users::{self, Attempt};
use crate::{checks, entry, faults, processes, spaces};

/// The lowest address that Sv39 cannot represent.
const NON_CANONICAL: VirtAddr = VirtAddr::new(1 << 38);

/// What the kernel does.
enum Access {
    Load,
    Store,
    Call,
}

/// Does it, and says what happened.
pub(crate) fn fault(kind: FaultKind) {
    let at = VirtAddr::new;
    let null = at(0);
    let (access, address) = match kind {
        FaultKind::NullRead => (Access::Load, null),
        FaultKind::NullWrite => (Access::Store, null),
        FaultKind::NullCall => (Access::Call, null),
        FaultKind::WriteText => (Access::Store, at(0x1000)),
        FaultKind::ExecuteData => (Access::Call, at(entry::__data_start.address())),
        FaultKind::NonCanonical => (Access::Load, NON_CANONICAL),
        FaultKind::StackOverflow => (Access::Store, at(entry::__kernel_stack_start.address() - 8)),
        FaultKind::Original => (Access::Load, spaces::original().start()),
        FaultKind::KernelUser => return touch_user(Access::Load),
        FaultKind::KernelCallUser => return touch_user(Access::Call),
        FaultKind::Guard => return by_process(b"grow", 2),
        FaultKind::UserKernel => {
            let data = entry::__data_start.address();
            return by_process(b"rogue", Attempt::Read.argument(data));
        }
    };
    report(touch(access, address), address);
}

fn touch(access: Access, address: VirtAddr) -> Result<(), Fault> {
    match access {
        Access::Load => probe::load(address).map(drop),
        // SAFETY: none of these is mapped writable.
        Access::Store => unsafe { probe::store(address, b'P') },
        // SAFETY: none of these can be executed by the kernel, but for address 0, where an illegal instruction
        // is.
        Access::Call => unsafe { probe::call(address) },
    }
}

fn report(result: Result<(), Fault>, address: VirtAddr) {
    match result {
        Ok(()) => println!("{address} was reached, and should not have been"),
        Err(fault) => faults::print_kernels(fault),
    }
}

/// Touches what a process has, in its space, without sstatus.SUM.
fn touch_user(access: Access) {
    let process = processes::with(|table| table.iter().next().map(|(_, process)| *process));
    let Some(process) = process else {
        return println!("there is no process: spawn one first");
    };
    let address = match access {
        Access::Call => USER_BASE.wrapping_add(0x1000),
        Access::Load | Access::Store => process.space.layout().shared.start(),
    };
    spaces::switch_to(process.space.satp());
    report(touch(access, address), address);
    spaces::switch_to_kernel();
}

/// Has a process do it, and waits for its end.
fn by_process(name: &[u8], argument: u64) {
    let Some(program) = users::by_name(name) else {
        return;
    };
    match processes::spawn(program, argument) {
        Ok(pid) => {
            if checks::end_of(pid).is_none() {
                let seconds = checks::PATIENCE_MS / 1000;
                println!("process {pid} has not ended within {seconds} s: it is ended now");
                if let Some((slot, _)) = processes::find(pid) {
                    processes::end(slot, End::Killed);
                }
            }
        }
        Err(error) => println!("{error}"),
    }
}
