//! The way into user mode, and out of it by a trap; traps of the kernel itself.
//!
//! ```text
//!  enter_user(context) ──▶ user ──▶ trap ──▶ back from enter_user, the registers in the context
//!  kernel ──▶ trap ──▶ handle, on a stack of its own ──▶ back, where it was a probe's fault
//! ```
//!
//! sscratch says whose trap it is: the context's address while a user runs, 0 while the kernel does. The
//! vector, the contexts and the kernel stack are mapped in every space, so satp stays as it is.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use pagescope_kernel::arch::csr::{MSTATUS_SPIE, MSTATUS_SPP};
use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::process::table::MAX_PROCESSES;
use pagescope_kernel::program::probe::{self, Fault};
use pagescope_kernel::{csr_read, println};
use pagescope_protocol::VirtAddr;

use crate::faults;

/// What a user program goes on with.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Context {
    /// x0 to x31; x0's place is unused.
    pub(crate) x: [u64; 32],
    /// The program counter.
    pub(crate) pc: u64,
    /// The kernel's stack pointer while the user runs.
    kernel_sp: u64,
}

impl Context {
    const EMPTY: Self = Self {
        x: [0; 32],
        pc: 0,
        kernel_sp: 0,
    };

    /// A program that begins at `pc` with its stack at `sp`.
    pub(crate) fn begin(pc: VirtAddr, sp: VirtAddr, arguments: [u64; 2]) -> Self {
        let mut context = Self::EMPTY;
        context.pc = pc.as_u64();
        context.x[2] = sp.as_u64();
        context.x[10..12].copy_from_slice(&arguments);
        context
    }
}

struct Contexts([UnsafeCell<Context>; MAX_PROCESSES]);

// SAFETY: one hart; `with_context` and `run` are the only users, and do not nest for one slot.
unsafe impl Sync for Contexts {}

static CONTEXTS: Contexts = Contexts([const { UnsafeCell::new(Context::EMPTY) }; MAX_PROCESSES]);

/// Changes or reads the context of the process in `slot`.
pub(crate) fn with_context<R>(slot: usize, use_it: impl FnOnce(&mut Context) -> R) -> R {
    // SAFETY: one hart, and no user runs now; callers do not nest.
    use_it(unsafe { &mut *CONTEXTS.0[slot].get() })
}

/// Runs the user program in `slot` until a trap; its space is in satp.
pub(crate) fn run(slot: usize) -> (Cause, VirtAddr) {
    // SAFETY: the context is the user's, who cannot reach the kernel; the assembly keeps what the calling
    // convention wants kept.
    unsafe { enter_user(CONTEXTS.0[slot].get()) };
    let cause = Cause::from_bits(csr_read!("scause"));
    (cause, VirtAddr::new(csr_read!("stval")))
}

/// Whether a failure ends the machine: in the self-test, nobody is there to look.
static POWER_OFF_ON_FAILURE: AtomicBool = AtomicBool::new(false);

/// From now on, a failure ends the machine.
pub(crate) fn power_off_on_failure() {
    POWER_OFF_ON_FAILURE.store(true, Ordering::Relaxed);
}

/// Stops after a failure.
pub(crate) fn halt() -> ! {
    if POWER_OFF_ON_FAILURE.load(Ordering::Relaxed) {
        sbi_call::power_off(true);
    }
    println!("kernel: hart 0 has stopped; its registers are as they were for a debugger to read");
    sbi_call::set_timer(u64::MAX);
    arch::stop()
}

/// The registers that a trap of the kernel interrupted; x0's place is unused.
#[repr(C)]
pub(crate) struct TrapFrame {
    x: [u64; 32],
}

/// Handles a trap of the kernel. A trap in here does not come back here: the way in has pointed stvec
/// at a loop that only waits.
extern "C" fn handle(frame: &mut TrapFrame) {
    if probe::survive(&mut frame.x) {
        return;
    }
    let fault = Fault {
        cause: Cause::from_bits(csr_read!("scause")),
        address: VirtAddr::new(csr_read!("stval")),
        instruction: VirtAddr::new(csr_read!("sepc")),
    };
    println!("\nkernel: unexpected trap: {}", fault.cause);
    faults::print_kernels(fault);
    println!("  sp     {:#018x}   ra {:#018x}", frame.x[2], frame.x[1]);
    halt()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("\nkernel: {info}");
    halt()
}

/// Bytes of the stack that the kernel's own traps are handled on, for the kernel stack may have overflowed.
const TRAP_STACK_SIZE: usize = 16 << 10;

#[repr(C, align(16))]
struct TrapStack([u8; TRAP_STACK_SIZE]);

static mut TRAP_STACK: TrapStack = TrapStack([0; TRAP_STACK_SIZE]);

unsafe extern "C" {
    /// Goes on with a user program; returns at its next trap.
    fn enter_user(context: *mut Context);
}

global_asm!(
    r#"
    .section .text
    .balign 4
    .globl trap_vector
    .type trap_vector, @function
trap_vector:
    csrrw   sp, sscratch, sp
    bnez    sp, trap_from_user

    // The kernel's own: sscratch holds its sp. A trap from here on, until sret, is one in the
    // handler: it stops at once, and what the first trap found stays as it is.
    la      sp, trap_in_trap
    csrw    stvec, sp
    la      sp, {trap_stack}+{frame_offset}
    sd      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrr    t0, sscratch
    sd      t0, 2*8(sp)
    mv      a0, sp
    call    {handle}
    ld      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    la      sp, trap_vector
    csrw    stvec, sp
    csrrw   sp, sscratch, zero
    sret
    .size trap_vector, . - trap_vector

    // sp is the context, sscratch the user's sp. Back to whoever called enter_user.
    .type trap_from_user, @function
trap_from_user:
    sd      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd      x\n, \n*8(sp)
    .endr
    csrr    t0, sscratch
    sd      t0, 2*8(sp)
    csrr    t0, sepc
    sd      t0, {pc}(sp)
    csrw    sscratch, zero
    ld      sp, {kernel_sp}(sp)
    ld      ra, 0(sp)
    ld      gp, 8(sp)
    ld      tp, 16(sp)
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11
    ld      s\n, 24+\n*8(sp)
    .endr
    addi    sp, sp, 128
    ret
    .size trap_from_user, . - trap_from_user

    .globl enter_user
    .type enter_user, @function
enter_user:
    addi    sp, sp, -128
    sd      ra, 0(sp)
    sd      gp, 8(sp)
    sd      tp, 16(sp)
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd      s\n, 24+\n*8(sp)
    .endr
    sd      sp, {kernel_sp}(a0)
    csrw    sscratch, a0
    ld      t0, {pc}(a0)
    csrw    sepc, t0
    li      t0, {spp}
    csrc    sstatus, t0
    li      t0, {spie}
    csrs    sstatus, t0
    mv      sp, a0
    ld      x1, 1*8(sp)
    .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld      x\n, \n*8(sp)
    .endr
    ld      sp, 2*8(sp)
    sret
    .size enter_user, . - enter_user
"#,
    trap_stack = sym TRAP_STACK,
    frame_offset = const TRAP_STACK_SIZE - size_of::<TrapFrame>(),
    pc = const core::mem::offset_of!(Context, pc),
    kernel_sp = const core::mem::offset_of!(Context, kernel_sp),
    spp = const MSTATUS_SPP,
    spie = const MSTATUS_SPIE,
    handle = sym handle,
);
