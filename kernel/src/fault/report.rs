//! A fault in words that name the region.
//!
//! ```text
//!  store to 0x80200000 in .text: it cannot be written (r-x--ad)
//!  load from 0x00000000 in the zero page: not mapped: the L0 entry is invalid
//!  load by user code from 0x0000a000 in kernel heap: the kernel's alone (rw---ad)
//!  illegal instruction at 0x80200010 in .text
//! ```

use core::fmt;

use pagescope_protocol::translate::{Outcome, Translation, TranslationFault};
use pagescope_protocol::{LeafFlags, PhysAddr, VirtAddr};

use super::Cause;

/// What is known of a fault.
#[derive(Clone, Copy, Debug)]
pub struct FaultReport<'a> {
    /// Why the trap was taken.
    pub cause: Cause,
    /// stval: the address.
    pub address: VirtAddr,
    /// sepc: the instruction.
    pub instruction: VirtAddr,
    /// Whether user code did it, and not the kernel.
    pub by_user: bool,
    /// The name of the region that the trap's [place](place_of) lies in, where it lies in one.
    pub region: Option<&'a str>,
    /// What the tables make of that place.
    pub translation: &'a Translation,
    /// sstatus.SUM: whether the kernel may touch user pages.
    pub sum: bool,
}

/// What was attempted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Load,
    Store,
    Fetch,
}

impl Access {
    /// `None` for traps that are about no address.
    fn of(cause: Cause) -> Option<Self> {
        match cause {
            Cause::LOAD_PAGE_FAULT | Cause::LOAD_ACCESS_FAULT => Some(Self::Load),
            Cause::STORE_PAGE_FAULT | Cause::STORE_ACCESS_FAULT => Some(Self::Store),
            Cause::INSTRUCTION_PAGE_FAULT | Cause::INSTRUCTION_ACCESS_FAULT => Some(Self::Fetch),
            _ => None,
        }
    }
}

/// The address that a trap is about, whose region and translation a [`FaultReport`] is given: `address`, which is
/// stval, where an access was refused; else `instruction`, which is sepc. What stval holds for other traps is no
/// address, or 0 (privileged specification, section "Supervisor Trap Value (stval) Register").
pub fn place_of(cause: Cause, address: VirtAddr, instruction: VirtAddr) -> VirtAddr {
    match Access::of(cause) {
        Some(_) => address,
        None => instruction,
    }
}

impl FaultReport<'_> {
    /// Why the tables refuse it.
    fn reason(&self, access: Access) -> Reason {
        let is_access_fault = matches!(
            self.cause,
            Cause::LOAD_ACCESS_FAULT | Cause::STORE_ACCESS_FAULT | Cause::INSTRUCTION_ACCESS_FAULT
        );
        let flags = match self.translation.outcome {
            Outcome::Mapped(mapped) => mapped.flags,
            Outcome::Fault(fault) => return Reason::NotMapped(fault),
            Outcome::Unreadable(entry) => return Reason::Unknown(entry),
        };
        let is_user_page = flags.contains(LeafFlags::USER);
        let permission = match access {
            Access::Load => LeafFlags::READ,
            Access::Store => LeafFlags::WRITE,
            Access::Fetch => LeafFlags::EXECUTE,
        };
        if is_access_fault {
            Reason::Protection
        } else if self.by_user && !is_user_page {
            Reason::KernelsAlone(flags)
        } else if !self.by_user && is_user_page && access == Access::Fetch {
            Reason::UserCode(flags)
        } else if !self.by_user && is_user_page && !self.sum {
            Reason::UserPage(flags)
        } else if !flags.contains(permission) {
            Reason::Forbidden(access, flags)
        } else {
            Reason::Stale(flags)
        }
    }
}

/// Why an access is refused.
enum Reason {
    NotMapped(TranslationFault),
    Unknown(PhysAddr),
    Protection,
    KernelsAlone(LeafFlags),
    UserCode(LeafFlags),
    UserPage(LeafFlags),
    Forbidden(Access, LeafFlags),
    Stale(LeafFlags),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped(fault) => fault.fmt(f),
            Self::Unknown(entry) => write!(f, "the table entry at {entry} is out of reach"),
            Self::Protection => {
                f.write_str("mapped, but physical memory protection or the machine forbids it")
            }
            Self::KernelsAlone(flags) => write!(f, "the kernel's alone ({flags})"),
            Self::UserCode(flags) => {
                write!(
                    f,
                    "a user's page, from which the kernel never executes ({flags})"
                )
            }
            Self::UserPage(flags) => {
                write!(f, "a user's page, and sstatus.SUM is 0 ({flags})")
            }
            Self::Forbidden(Access::Load, flags) => write!(f, "it cannot be read ({flags})"),
            Self::Forbidden(Access::Store, flags) => write!(f, "it cannot be written ({flags})"),
            Self::Forbidden(Access::Fetch, flags) => write!(f, "it cannot be executed ({flags})"),
            Self::Stale(flags) => {
                write!(f, "the tables allow it now ({flags}): a fence is missing")
            }
        }
    }
}

impl fmt::Display for FaultReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.by_user { " by user code" } else { "" };
        let Some(access) = Access::of(self.cause) else {
            write!(f, "{}{whose} at {}", self.cause, self.instruction)?;
            return match self.region {
                Some(region) => write!(f, " in {region}"),
                None => Ok(()),
            };
        };
        match access {
            Access::Load => write!(f, "load{whose} from {}", self.address)?,
            Access::Store => write!(f, "store{whose} to {}", self.address)?,
            Access::Fetch => write!(f, "execution{whose} of {}", self.address)?,
        }
        match self.region {
            Some(region) => write!(f, " in {region}")?,
            None => f.write_str(", which is in no region")?,
        }
        write!(f, ": {}", self.reason(access))
    }
}

#[cfg(test)]
mod tests;
