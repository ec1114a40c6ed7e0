//! The target's description: which registers a debugger can ask for, and by which number.
//!
//! ```text
//!  0..31   x0 to x31          `g` has these and pc
//!  32      pc
//!  33..64  f0 to f31          gdb takes no program built for them without them
//!  65 + n  CSR n              `p` has these; 65 is what gdb itself begins CSRs with
//!  4161    priv               the privilege mode: 0 U, 1 S, 3 M
//! ```
//!
//! Names and features are those of QEMU's description (`gdb-xml/riscv-*.xml`; gdb's manual, section
//! G.5.13 "RISC-V Features"), so that whoever reads registers by name reads the same ones here.

/// Where CSRs begin.
pub const FIRST_CSR: usize = 65;

/// pc.
pub const PC: usize = 32;

/// The privilege mode.
pub const PRIV: usize = FIRST_CSR + 4096;

/// The register that has the number `regnum`: its CSR number.
const fn csr_number(regnum: usize) -> u16 {
    (regnum - FIRST_CSR) as u16
}

/// The numbers' text is part of the description, which is put together at compile time; hence
/// the literals, which a test holds to the CSRs' numbers.
macro_rules! description {
    ($($name:literal $regnum:literal)*) => {
        /// Every CSR of the description: its name, and its number in the privileged
        /// specification.
        pub const CSRS: &[(&str, u16)] = &[$(($name, csr_number($regnum))),*];

        /// The description, as `qXfer:features:read:target.xml` gives it.
        pub const TARGET_XML: &str = concat!(
            r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">"#,
            r#"<target version="1.0"><architecture>riscv:rv64</architecture>"#,
            r#"<feature name="org.gnu.gdb.riscv.cpu">"#,
            description!(@x "zero" "0" "int"),
            description!(@x "ra" "1" "code_ptr"),
            description!(@x "sp" "2" "data_ptr"),
            description!(@x "gp" "3" "data_ptr"),
            description!(@x "tp" "4" "data_ptr"),
            description!(@x "t0" "5" "int"),
            description!(@x "t1" "6" "int"),
            description!(@x "t2" "7" "int"),
            description!(@x "fp" "8" "data_ptr"),
            description!(@x "s1" "9" "int"),
            description!(@x "a0" "10" "int"),
            description!(@x "a1" "11" "int"),
            description!(@x "a2" "12" "int"),
            description!(@x "a3" "13" "int"),
            description!(@x "a4" "14" "int"),
            description!(@x "a5" "15" "int"),
            description!(@x "a6" "16" "int"),
            description!(@x "a7" "17" "int"),
            description!(@x "s2" "18" "int"),
            description!(@x "s3" "19" "int"),
            description!(@x "s4" "20" "int"),
            description!(@x "s5" "21" "int"),
            description!(@x "s6" "22" "int"),
            description!(@x "s7" "23" "int"),
            description!(@x "s8" "24" "int"),
            description!(@x "s9" "25" "int"),
            description!(@x "s10" "26" "int"),
            description!(@x "s11" "27" "int"),
            description!(@x "t3" "28" "int"),
            description!(@x "t4" "29" "int"),
            description!(@x "t5" "30" "int"),
            description!(@x "t6" "31" "int"),
            description!(@x "pc" "32" "code_ptr"),
            r#"</feature><feature name="org.gnu.gdb.riscv.fpu">"#,
            description!(@x "ft0" "33" "ieee_double"),
            description!(@x "ft1" "34" "ieee_double"),
            description!(@x "ft2" "35" "ieee_double"),
            description!(@x "ft3" "36" "ieee_double"),
            description!(@x "ft4" "37" "ieee_double"),
            description!(@x "ft5" "38" "ieee_double"),
            description!(@x "ft6" "39" "ieee_double"),
            description!(@x "ft7" "40" "ieee_double"),
            description!(@x "fs0" "41" "ieee_double"),
            description!(@x "fs1" "42" "ieee_double"),
            description!(@x "fa0" "43" "ieee_double"),
            description!(@x "fa1" "44" "ieee_double"),
            description!(@x "fa2" "45" "ieee_double"),
            description!(@x "fa3" "46" "ieee_double"),
            description!(@x "fa4" "47" "ieee_double"),
            description!(@x "fa5" "48" "ieee_double"),
            description!(@x "fa6" "49" "ieee_double"),
            description!(@x "fa7" "50" "ieee_double"),
            description!(@x "fs2" "51" "ieee_double"),
            description!(@x "fs3" "52" "ieee_double"),
            description!(@x "fs4" "53" "ieee_double"),
            description!(@x "fs5" "54" "ieee_double"),
            description!(@x "fs6" "55" "ieee_double"),
            description!(@x "fs7" "56" "ieee_double"),
            description!(@x "fs8" "57" "ieee_double"),
            description!(@x "fs9" "58" "ieee_double"),
            description!(@x "fs10" "59" "ieee_double"),
            description!(@x "fs11" "60" "ieee_double"),
            description!(@x "ft8" "61" "ieee_double"),
            description!(@x "ft9" "62" "ieee_double"),
            description!(@x "ft10" "63" "ieee_double"),
            description!(@x "ft11" "64" "ieee_double"),
            r#"<reg name="fflags" bitsize="32" regnum="66" type="int" group="float"/>"#,
            r#"<reg name="frm" bitsize="32" regnum="67" type="int" group="float"/>"#,
            r#"<reg name="fcsr" bitsize="32" regnum="68" type="int" group="float"/>"#,
            r#"</feature><feature name="org.gnu.gdb.riscv.virtual">"#,
            r#"<reg name="priv" bitsize="64" regnum="4161" type="int" group="general"/>"#,
            r#"</feature><feature name="org.gnu.gdb.riscv.csr">"#,
            $(
                r#"<reg name=""#, $name, r#"" bitsize="64" regnum=""#, $regnum,
                r#"" type="int" group="csr"/>"#,
            )*
            "</feature></target>",
        );
    };
    (@x $name:literal $regnum:literal $type:literal) => {
        concat!(
            r#"<reg name=""#, $name, r#"" bitsize="64" regnum=""#, $regnum,
            r#"" type=""#, $type, r#""/>"#,
        )
    };
}

description! {
    "sstatus" 321
    "sie" 325
    "stvec" 326
    "scounteren" 327
    "sscratch" 385
    "sepc" 386
    "scause" 387
    "stval" 388
    "sip" 389
    "satp" 449
    "vsatp" 705
    "mstatus" 833
    "misa" 834
    "medeleg" 835
    "mideleg" 836
    "mie" 837
    "mtvec" 838
    "mcounteren" 839
    "menvcfg" 843
    "mscratch" 897
    "mepc" 898
    "mcause" 899
    "mtval" 900
    "mip" 901
    "pmpcfg0" 993
    "pmpaddr0" 1009
    "pmpaddr1" 1010
    "hstatus" 1601
    "hgatp" 1729
    "mhartid" 3925
}

impl Register {
    /// Its bytes in a packet.
    pub const fn size(self) -> usize {
        match self {
            Self::FloatStatus(..) => 4,
            _ => 8,
        }
    }
}

/// What a register number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// An integer register.
    X(usize),
    /// The program counter.
    Pc,
    /// A floating-point register.
    F(usize),
    /// fflags, frm or fcsr: how far right of fcsr's bits they begin, and their bits.
    FloatStatus(u32, u64),
    /// The privilege mode.
    Privilege,
    /// A CSR: its place in [`CSRS`].
    Csr(usize),
}

/// The register with this number.
pub fn register(number: usize) -> Option<Register> {
    match number {
        0..32 => Some(Register::X(number)),
        PC => Some(Register::Pc),
        33..=64 => Some(Register::F(number - 33)),
        66 => Some(Register::FloatStatus(0, 0x1f)),
        67 => Some(Register::FloatStatus(5, 0x7)),
        68 => Some(Register::FloatStatus(0, 0xff)),
        PRIV => Some(Register::Privilege),
        _ => {
            let csr = number.checked_sub(FIRST_CSR)?;
            place(csr).map(Register::Csr)
        }
    }
}

/// Where in [`CSRS`] the CSR with this number is.
pub fn place(csr: usize) -> Option<usize> {
    CSRS.iter()
        .position(|(_, number)| usize::from(*number) == csr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csrs_have_the_numbers_of_the_specification() {
        for (name, number) in [
            ("sstatus", 0x100),
            ("sie", 0x104),
            ("stvec", 0x105),
            ("scounteren", 0x106),
            ("sscratch", 0x140),
            ("sepc", 0x141),
            ("scause", 0x142),
            ("stval", 0x143),
            ("sip", 0x144),
            ("satp", 0x180),
            ("vsatp", 0x280),
            ("mstatus", 0x300),
            ("misa", 0x301),
            ("medeleg", 0x302),
            ("mideleg", 0x303),
            ("mie", 0x304),
            ("mtvec", 0x305),
            ("mcounteren", 0x306),
            ("menvcfg", 0x30a),
            ("mscratch", 0x340),
            ("mepc", 0x341),
            ("mcause", 0x342),
            ("mtval", 0x343),
            ("mip", 0x344),
            ("pmpcfg0", 0x3a0),
            ("pmpaddr0", 0x3b0),
            ("pmpaddr1", 0x3b1),
            ("hstatus", 0x600),
            ("hgatp", 0x680),
            ("mhartid", 0xf14),
        ] {
            let place = place(number).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(CSRS[place].0, name);
            assert_eq!(register(FIRST_CSR + number), Some(Register::Csr(place)));
        }
        assert_eq!(CSRS.len(), 30);
    }

    #[test]
    fn every_number_means_one_register_or_none() {
        assert_eq!(register(0), Some(Register::X(0)));
        assert_eq!(register(31), Some(Register::X(31)));
        assert_eq!(register(32), Some(Register::Pc));
        assert_eq!(register(33), Some(Register::F(0)));
        assert_eq!(register(64), Some(Register::F(31)));
        assert_eq!(register(65), None);
        assert_eq!(register(PRIV), Some(Register::Privilege));
        assert_eq!(register(usize::MAX), None);
    }

    #[test]
    fn the_description_is_whole() {
        let registers = TARGET_XML.matches("<reg ").count();
        assert_eq!(registers, 32 + 1 + 32 + 3 + 1 + CSRS.len());
        assert_eq!(TARGET_XML.matches("<feature ").count(), 4);
        assert_eq!(TARGET_XML.matches("</feature>").count(), 4);
    }
}
