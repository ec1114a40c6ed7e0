//! Control and status registers taken apart into their fields (privileged specification, chapters 3, 10 and 18).

use pagescope_protocol::{Hgatp, Satp, Xlen};

/// A field of a register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsrField {
    /// Its name in the specification.
    pub name: &'static str,
    /// Its highest bit.
    pub high: u32,
    /// Its lowest bit.
    pub low: u32,
    /// What stands in it.
    pub value: u64,
    /// What that means; empty where the number says it.
    pub meaning: String,
}

impl CsrField {
    /// `MODE[63:60] = 8, Sv39`.
    pub fn text(&self) -> String {
        let bits = match self.high == self.low {
            true => format!("[{}]", self.low),
            false => format!("[{}:{}]", self.high, self.low),
        };
        let value = match self.value {
            0..10 => self.value.to_string(),
            value => format!("{value:#x}"),
        };
        match self.meaning.as_str() {
            "" => format!("{}{bits} = {value}", self.name),
            meaning => format!("{}{bits} = {value}, {meaning}", self.name),
        }
    }
}

/// A register that decides about memory or traps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Csr {
    /// What it is for.
    pub about: &'static str,
    /// Its fields, highest first; none where it is one number.
    pub fields: Vec<CsrField>,
    /// What it says, in short.
    pub summary: String,
    /// The virtual address that stands in it.
    pub virt: Option<u64>,
    /// The physical address that stands in it.
    pub phys: Option<u64>,
}

/// What the register of this name says with this value; `None`: it has no fields that are known.
pub fn csr(name: &str, value: u64, xlen: Xlen) -> Option<Csr> {
    let bits = Bits { value, xlen };
    Some(match name {
        "satp" => space(&bits, "the address space: mode, ASID and root table"),
        "vsatp" => space(&bits, "the guest's own address space, its first stage"),
        "hgatp" => guest_stage(&bits),
        "sstatus" | "vsstatus" | "mstatus" | "hstatus" => status(name, &bits),
        "scause" | "vscause" | "mcause" => cause(&bits),
        "stvec" | "vstvec" | "mtvec" => vector(&bits),
        "sepc" | "vsepc" | "mepc" => address(value, "where the trap came from"),
        "stval" | "vstval" | "mtval" => {
            address(value, "the address or instruction that the trap is about")
        }
        "htval" | "mtval2" => Csr {
            about: "the guest physical address that faulted, without its two lowest bits",
            fields: Vec::new(),
            summary: format!("guest physical {:#x}", value << 2),
            virt: None,
            phys: None,
        },
        "sscratch" | "mscratch" | "vsscratch" => {
            address(value, "what the kernel keeps for its trap handler")
        }
        "sie" | "mie" | "vsie" | "hie" => interrupts(&bits, "which interrupts are enabled"),
        "sip" | "mip" | "vsip" | "hip" => interrupts(&bits, "which interrupts are pending"),
        "mideleg" | "hideleg" => interrupts(&bits, "which interrupts go to the lower privilege"),
        "medeleg" | "hedeleg" => exceptions(&bits),
        "menvcfg" | "henvcfg" | "senvcfg" => environment(&bits),
        "priv" => privilege(value),
        _ => return None,
    })
}

/// A register's bits.
struct Bits {
    value: u64,
    xlen: Xlen,
}

impl Bits {
    fn at(&self, high: u32, low: u32) -> u64 {
        let width = high - low + 1;
        let mask = match width {
            64.. => u64::MAX,
            width => (1 << width) - 1,
        };
        (self.value >> low) & mask
    }

    fn field(&self, name: &'static str, high: u32, low: u32) -> CsrField {
        CsrField {
            name,
            high,
            low,
            value: self.at(high, low),
            meaning: String::new(),
        }
    }

    fn told(
        &self,
        name: &'static str,
        high: u32,
        low: u32,
        meaning: impl Into<String>,
    ) -> CsrField {
        CsrField {
            meaning: meaning.into(),
            ..self.field(name, high, low)
        }
    }

    /// The highest bit.
    fn top(&self) -> u32 {
        match self.xlen {
            Xlen::Rv32 => 31,
            Xlen::Rv64 => 63,
        }
    }
}

fn space(bits: &Bits, about: &'static str) -> Csr {
    let satp = Satp::from_bits_of(bits.value, bits.xlen);
    let (mode, root) = (satp.mode(), satp.root());
    let (mode_bits, asid, ppn) = match bits.xlen {
        Xlen::Rv32 => ((31, 31), (30, 22), 21),
        Xlen::Rv64 => ((63, 60), (59, 44), 43),
    };
    let root = root.start();
    let off = bits.at(mode_bits.0, mode_bits.1) == 0;
    Csr {
        about,
        fields: vec![
            bits.told("MODE", mode_bits.0, mode_bits.1, mode.to_string()),
            bits.field("ASID", asid.0, asid.1),
            bits.told("PPN", ppn, 0, format!("root table {root}")),
        ],
        summary: match off {
            true => "Bare: no translation".into(),
            false => format!("{mode} · ASID {} · root {root}", bits.at(asid.0, asid.1)),
        },
        virt: None,
        phys: (!off).then(|| root.as_u64()),
    }
}

fn guest_stage(bits: &Bits) -> Csr {
    let hgatp = Hgatp::from_bits_of(bits.value, bits.xlen);
    let (mode_bits, vmid, ppn) = match bits.xlen {
        Xlen::Rv32 => ((31, 31), (28, 22), 21),
        Xlen::Rv64 => ((63, 60), (57, 44), 43),
    };
    let mode = hgatp.mode();
    let root = hgatp.root().start();
    let off = bits.at(mode_bits.0, mode_bits.1) == 0;
    Csr {
        about: "the guest's physical memory: its second stage",
        fields: vec![
            bits.told("MODE", mode_bits.0, mode_bits.1, mode.to_string()),
            bits.field("VMID", vmid.0, vmid.1),
            bits.told("PPN", ppn, 0, format!("root table {root}")),
        ],
        summary: match off {
            true => "Bare: guest physical is physical".into(),
            false => format!("{mode} · VMID {} · root {root}", bits.at(vmid.0, vmid.1)),
        },
        virt: None,
        phys: (!off).then(|| root.as_u64()),
    }
}

const fn mode_letter(bits: u64) -> &'static str {
    match bits {
        0 => "U",
        1 => "S",
        3 => "M",
        _ => "reserved",
    }
}

const fn extension_state(bits: u64) -> &'static str {
    match bits {
        0 => "off",
        1 => "initial",
        2 => "clean",
        _ => "dirty",
    }
}

const fn width_words(bits: u64) -> &'static str {
    match bits {
        1 => "32 bits",
        2 => "64 bits",
        3 => "128 bits",
        _ => "as the machine",
    }
}

fn on_off(value: u64, on: &'static str, off: &'static str) -> &'static str {
    match value {
        0 => off,
        _ => on,
    }
}

fn status(name: &str, bits: &Bits) -> Csr {
    let wide = bits.xlen == Xlen::Rv64;
    let one = |name, bit, on, off| {
        let value = bits.at(bit, bit);
        bits.told(name, bit, bit, on_off(value, on, off))
    };
    let mut fields = Vec::new();
    if name == "hstatus" {
        if wide {
            fields.push(bits.told("VSXL", 33, 32, width_words(bits.at(33, 32))));
        }
        fields.extend([
            one("VTSR", 22, "sret in VS traps", ""),
            one("VTW", 21, "wfi in VS traps", ""),
            one("VTVM", 20, "satp and sfence in VS trap", ""),
            bits.field("VGEIN", 17, 12),
            one("HU", 9, "U may use the guest's loads", ""),
            bits.told("SPVP", 8, 8, mode_letter(bits.at(8, 8))),
            one(
                "SPV",
                7,
                "the trap came from a guest",
                "the trap came from no guest",
            ),
            one("GVA", 6, "stval is a guest's address", ""),
        ]);
    } else {
        let machine = name == "mstatus";
        fields.push(one("SD", bits.top(), "some extension's state is dirty", ""));
        if machine && wide {
            fields.extend([
                one("MPV", 39, "the trap came from a guest", ""),
                one("GVA", 38, "mtval is a guest's address", ""),
                bits.told("SXL", 35, 34, width_words(bits.at(35, 34))),
            ]);
        }
        if wide {
            fields.push(bits.told("UXL", 33, 32, width_words(bits.at(33, 32))));
        }
        if machine {
            fields.extend([
                one("TSR", 22, "sret traps", ""),
                one("TW", 21, "wfi traps", ""),
                one("TVM", 20, "satp and sfence.vma trap", ""),
            ]);
        }
        fields.extend([
            one("MXR", 19, "executable pages can be read", "loads need R"),
            one("SUM", 18, "S may use U pages", "S may not use U pages"),
        ]);
        if machine {
            fields.push(one("MPRV", 17, "M's loads translate as MPP's", ""));
        }
        fields.extend([
            bits.told("XS", 16, 15, extension_state(bits.at(16, 15))),
            bits.told("FS", 14, 13, extension_state(bits.at(14, 13))),
        ]);
        if machine {
            fields.push(bits.told("MPP", 12, 11, mode_letter(bits.at(12, 11))));
        }
        fields.extend([
            bits.told("VS", 10, 9, extension_state(bits.at(10, 9))),
            bits.told("SPP", 8, 8, mode_letter(bits.at(8, 8))),
        ]);
        if machine {
            fields.push(bits.field("MPIE", 7, 7));
        }
        fields.push(bits.field("SPIE", 5, 5));
        if machine {
            fields.push(one("MIE", 3, "interrupts on in M", "interrupts off in M"));
        }
        fields.push(one("SIE", 1, "interrupts on in S", "interrupts off in S"));
    }
    let about = match name {
        "mstatus" => "what M-mode allows, and where its trap came from",
        "hstatus" => "what the hypervisor allows its guest",
        _ => "what S-mode allows, and where its trap came from",
    };
    let set = fields.iter().filter(|field| field.value != 0);
    let set = set.map(|field| match (field.name, field.high == field.low) {
        ("SPP" | "SPVP", _) | (_, false) => format!("{} {}", field.name, field.meaning),
        (name, true) => name.to_owned(),
    });
    let summary = set.collect::<Vec<_>>().join(" · ");
    Csr {
        about,
        fields,
        summary,
        virt: None,
        phys: None,
    }
}

/// Exceptions by their codes.
const EXCEPTIONS: [&str; 24] = [
    "instruction address misaligned",
    "instruction access fault",
    "illegal instruction",
    "breakpoint",
    "load address misaligned",
    "load access fault",
    "store address misaligned",
    "store access fault",
    "environment call from U",
    "environment call from S",
    "environment call from VS",
    "environment call from M",
    "instruction page fault",
    "load page fault",
    "reserved",
    "store page fault",
    "double trap",
    "reserved",
    "software check",
    "hardware error",
    "instruction guest page fault",
    "load guest page fault",
    "virtual instruction",
    "store guest page fault",
];

/// Interrupts by their codes: name in sip, words.
const INTERRUPTS: [(u32, &str, &str); 10] = [
    (1, "SSI", "supervisor software"),
    (2, "VSSI", "guest's software"),
    (3, "MSI", "machine software"),
    (5, "STI", "supervisor timer"),
    (6, "VSTI", "guest's timer"),
    (7, "MTI", "machine timer"),
    (9, "SEI", "supervisor external"),
    (10, "VSEI", "guest's external"),
    (11, "MEI", "machine external"),
    (12, "SGEI", "guest external, for the hypervisor"),
];

/// What a cause says: `load page fault`, `supervisor timer interrupt`.
pub fn cause_words(is_interrupt: bool, code: u64) -> String {
    if is_interrupt {
        let known = INTERRUPTS.iter().find(|(bit, ..)| u64::from(*bit) == code);
        return match known {
            Some((_, _, words)) => format!("{words} interrupt"),
            None => format!("interrupt {code}"),
        };
    }
    let known = usize::try_from(code)
        .ok()
        .and_then(|code| EXCEPTIONS.get(code));
    match known {
        Some(&"reserved") | None => format!("exception {code}"),
        Some(words) => (*words).to_owned(),
    }
}

fn cause(bits: &Bits) -> Csr {
    let top = bits.top();
    let is_interrupt = bits.at(top, top) == 1;
    let code = bits.at(top - 1, 0);
    let words = cause_words(is_interrupt, code);
    Csr {
        about: "why the last trap was taken",
        fields: vec![
            bits.told(
                "Interrupt",
                top,
                top,
                on_off(u64::from(is_interrupt), "an interrupt", "an exception"),
            ),
            bits.told("Code", top - 1, 0, words.clone()),
        ],
        summary: words,
        virt: None,
        phys: None,
    }
}

fn vector(bits: &Bits) -> Csr {
    let base = bits.value & !3;
    let mode = match bits.at(1, 0) {
        0 => "direct",
        1 => "vectored",
        _ => "reserved",
    };
    Csr {
        about: "where traps go",
        fields: vec![
            bits.told("BASE", bits.top(), 2, format!("handler at {base:#x}")),
            bits.told("MODE", 1, 0, mode),
        ],
        summary: format!("{mode}, to {base:#x}"),
        virt: Some(base),
        phys: None,
    }
}

fn address(value: u64, about: &'static str) -> Csr {
    Csr {
        about,
        fields: Vec::new(),
        summary: String::new(),
        virt: (value != 0).then_some(value),
        phys: None,
    }
}

fn interrupts(bits: &Bits, about: &'static str) -> Csr {
    let fields = INTERRUPTS.iter().rev();
    let fields: Vec<CsrField> = fields
        .map(|(bit, name, words)| bits.told(name, *bit, *bit, *words))
        .collect();
    let set = fields.iter().rev().filter(|field| field.value != 0);
    let names: Vec<&str> = set.map(|field| field.name).collect();
    Csr {
        about,
        summary: match names.is_empty() {
            true => "none".into(),
            false => names.join(" · "),
        },
        fields,
        virt: None,
        phys: None,
    }
}

fn exceptions(bits: &Bits) -> Csr {
    let all = EXCEPTIONS.iter().enumerate();
    let named = all.filter(|(_, words)| **words != "reserved");
    let fields: Vec<CsrField> = named
        .map(|(code, words)| bits.told("bit", code as u32, code as u32, *words))
        .collect();
    let count = fields.iter().filter(|field| field.value != 0).count();
    Csr {
        about: "which exceptions go to the lower privilege",
        summary: match count {
            0 => "none".into(),
            1 => "1 exception".into(),
            count => format!("{count} exceptions"),
        },
        fields,
        virt: None,
        phys: None,
    }
}

fn environment(bits: &Bits) -> Csr {
    let one = |name, bit, on: &'static str| {
        let meaning = on_off(bits.at(bit, bit), on, "");
        bits.told(name, bit, bit, meaning)
    };
    let mut fields = Vec::new();
    if bits.xlen == Xlen::Rv64 {
        fields.extend([
            one("STCE", 63, "S has a timer of its own"),
            one("PBMTE", 62, "entries may name a memory type (Svpbmt)"),
            one("ADUE", 61, "the hardware sets A and D (Svadu)"),
        ]);
    }
    fields.extend([
        one("CBZE", 7, "cbo.zero is allowed"),
        one("CBCFE", 6, "cbo.clean and cbo.flush are allowed"),
        bits.field("CBIE", 5, 4),
        one("FIOM", 0, "fences order devices too"),
    ]);
    let set = fields.iter().filter(|field| field.value != 0);
    let names: Vec<&str> = set.map(|field| field.name).collect();
    Csr {
        about: "what the lower privilege may do",
        summary: match names.is_empty() {
            true => "none".into(),
            false => names.join(" · "),
        },
        fields,
        virt: None,
        phys: None,
    }
}

fn privilege(value: u64) -> Csr {
    Csr {
        about: "the privilege mode",
        fields: Vec::new(),
        summary: format!("{}-mode", mode_letter(value & 3)),
        virt: None,
        phys: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: u64) -> Csr {
        csr(name, value, Xlen::Rv64).unwrap()
    }

    fn texts(csr: &Csr) -> Vec<String> {
        csr.fields.iter().map(CsrField::text).collect()
    }

    #[test]
    fn satp_names_mode_asid_and_root() {
        let satp = read("satp", 0x8001_2000_0008_7ffc);
        assert_eq!(satp.summary, "Sv39 · ASID 18 · root 0x87ffc000");
        assert_eq!(satp.phys, Some(0x87ff_c000));
        assert_eq!(
            texts(&satp),
            [
                "MODE[63:60] = 8, Sv39",
                "ASID[59:44] = 0x12",
                "PPN[43:0] = 0x87ffc, root table 0x87ffc000"
            ]
        );
        assert_eq!(read("satp", 0).summary, "Bare: no translation");
        assert_eq!(read("satp", 0).phys, None);
        let narrow = csr("satp", 0x8048_7ffc, Xlen::Rv32).unwrap();
        assert_eq!(narrow.summary, "Sv32 · ASID 1 · root 0x87ffc000");
        let stage = read("hgatp", 0x8000_3000_0009_0000);
        assert_eq!(stage.summary, "Sv39x4 · VMID 3 · root 0x90000000");
    }

    #[test]
    fn causes_are_words() {
        for (value, words) in [
            (13, "load page fault"),
            (15, "store page fault"),
            (8, "environment call from U"),
            (14, "exception 14"),
            (99, "exception 99"),
            (1 << 63 | 5, "supervisor timer interrupt"),
            (1 << 63 | 9, "supervisor external interrupt"),
            (1 << 63 | 60, "interrupt 60"),
        ] {
            assert_eq!(read("scause", value).summary, words);
        }
        let narrow = csr("scause", 0x8000_0005, Xlen::Rv32).unwrap();
        assert_eq!(narrow.summary, "supervisor timer interrupt");
    }

    #[test]
    fn status_bits_stand_where_the_specification_has_them() {
        // SD, UXL=2, SUM, FS=3, SPP=1, SPIE, SIE.
        let value = 1 << 63 | 2 << 32 | 1 << 18 | 3 << 13 | 1 << 8 | 1 << 5 | 1 << 1;
        let status = read("sstatus", value);
        assert_eq!(
            status.summary,
            "SD · UXL 64 bits · SUM · FS dirty · SPP S · SPIE · SIE"
        );
        assert!(texts(&status).contains(&"SUM[18] = 1, S may use U pages".to_owned()));
        assert!(texts(&status).contains(&"MXR[19] = 0, loads need R".to_owned()));
        // M's fields are not sstatus's.
        assert!(!texts(&status).iter().any(|text| text.starts_with("MPP")));
        let machine = read("mstatus", 3 << 11 | 1 << 3 | 1 << 17);
        assert_eq!(machine.summary, "MPRV · MPP M · MIE");
    }

    #[test]
    fn vectors_and_addresses_are_links() {
        let vector = read("stvec", 0xffff_ffc0_0000_1001);
        assert_eq!(vector.summary, "vectored, to 0xffffffc000001000");
        assert_eq!(vector.virt, Some(0xffff_ffc0_0000_1000));
        assert_eq!(read("sepc", 0x8020_1234).virt, Some(0x8020_1234));
        assert_eq!(read("stval", 0).virt, None);
        assert_eq!(read("sie", 0x222).summary, "SSI · STI · SEI");
        assert_eq!(read("medeleg", 1 << 12 | 1 << 13).summary, "2 exceptions");
        assert_eq!(read("menvcfg", 1 << 61).summary, "ADUE");
        assert_eq!(read("priv", 1).summary, "S-mode");
        assert_eq!(csr("a0", 1, Xlen::Rv64), None);
    }
}
