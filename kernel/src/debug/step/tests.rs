use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::vec::Vec;

const PC: u64 = 0x8020_1000;

/// Instructions by address, as halfwords.
#[derive(Default)]
struct Text(HashMap<u64, u16>);

impl Text {
    fn at(address: u64, instructions: &[u32]) -> Self {
        let mut text = Self::default();
        let mut address = address;
        for bits in instructions {
            text.0.insert(address, *bits as u16);
            if bits & 3 == 3 {
                text.0.insert(address + 2, (bits >> 16) as u16);
                address += 2;
            }
            address += 2;
        }
        text
    }

    fn plan(&self, hart: Hart<'_>) -> Plan {
        plan(hart, |address| self.0.get(&address).copied())
    }
}

fn hart(x: &[u64; 32]) -> Hart<'_> {
    Hart {
        x,
        pc: PC,
        supervisor: true,
        stvec: 0x8020_0100,
        sepc: 0x4000,
        satp: 0x8000_0000_0008_7ffc,
    }
}

fn numbered() -> [u64; 32] {
    std::array::from_fn(|number| number as u64 * 0x1000)
}

fn carries(bits: u32) -> (u64, Option<(usize, u64)>) {
    match Text::at(PC, &[bits]).plan(hart(&numbered())) {
        Plan::CarryOut { pc, link } => (pc, link),
        run => panic!("{bits:#x}: {run:?}"),
    }
}

fn stops(instructions: &[u32]) -> Vec<u64> {
    match Text::at(PC, instructions).plan(hart(&numbered())) {
        Plan::Run { stops, .. } => stops.as_slice().to_vec(),
        other => panic!("{instructions:x?}: {other:?}"),
    }
}

/// Words as GNU as 2.40 makes them.
#[test]
fn every_control_flow_instruction_leads_where_the_assembler_says() {
    let behind = PC + 4;
    for (bits, pc, link) in [
        (0x0000_006f, PC, None),                      // j .
        (0x0080_00ef, PC + 8, Some((1, behind))),     // jal ra, .+8
        (0xff9f_f06f, PC - 8, None),                  // j .-8
        (0x8000_006f, PC - 0x10_0000, None),          // j .-1M
        (0x7fff_f06f, PC + 0xf_fffe, None),           // j .+1M-2
        (0x0000_8067, 0x1000, None),                  // ret
        (0x0045_00e7, 0xa004, Some((1, behind))),     // jalr ra, 4(a0)
        (0xfff5_0067, 0x9ffe, None),                  // jr -1(a0): the lowest bit is dropped
        (0x2d23_0067, 0x62d2, None),                  // jr 722(t1)
        (0x00b5_0463, behind, None),                  // beq a0, a1, .+8
        (0x00a5_0463, PC + 8, None),                  // beq a0, a0, .+8
        (0xfeb5_1ee3, PC - 4, None),                  // bne a0, a1, .-4
        (0x00b5_4463, PC + 8, None),                  // blt a0, a1, .+8
        (0x00b5_5463, behind, None),                  // bge a0, a1, .+8
        (0x00b5_6463, PC + 8, None),                  // bltu a0, a1, .+8
        (0x00b5_7463, behind, None),                  // bgeu a0, a1, .+8
        (0x80b5_1063, PC - 0x1000, None),             // bne a0, a1, .-4096
        (0x1050_0073, behind, None),                  // wfi
        (0xa001, PC, None),                           // c.j .
        (0xbffd, PC - 2, None),                       // c.j .-2
        (0xa021, PC + 8, None),                       // c.j .+8
        (0x8082, 0x1000, None),                       // c.jr ra
        (0x9502 | 0x0080, 0xb000, Some((1, PC + 2))), // c.jalr a1
        (0xc509, PC + 2, None),                       // c.beqz a0, .+10: a0 is not 0
        (0xe509, PC + 10, None),                      // c.bnez a0, .+10
        (0xfd7d, PC - 2, None),                       // c.bnez a0, .-2
    ] {
        assert_eq!(carries(bits), (pc, link), "{bits:#x}");
    }
}

#[test]
fn anything_else_leads_on_or_into_the_handler() {
    let handler = 0x8020_0100;
    for (bits, size_bytes) in [
        (0x0000_0013, 4), // nop
        (0x0001, 2),      // c.nop
        (0x852e, 2),      // c.mv a0, a1
        (0x952e, 2),      // c.add a0, a1
        (0x9002, 2),      // c.ebreak
        (0x0010_0073, 4), // ebreak
        (0x0000_0073, 4), // ecall
        (0x2005, 2),      // c.addiw zero, 1: c.jal on RV32
        (0x00b5_2463, 4), // a branch's reserved function
        (0x0005_10e7, 4), // jalr's reserved function
        (0x00b5_202f, 4), // amoadd.w
        (0x18b5_252f, 4), // sc.w by itself
        (0x1205_0073, 4), // sfence.vma a0, x0
    ] {
        assert_eq!(stops(&[bits]), [handler, PC + size_bytes], "{bits:#x}");
    }
    assert_eq!(stops(&[0x1020_0073]), [handler, 0x4000, PC + 4], "sret");
}

#[test]
fn what_cannot_be_fetched_leads_into_the_handler() {
    assert_eq!(stops(&[]), [0x8020_0100]);
    // The second half is on a page that is not there.
    let mut text = Text::at(PC, &[0x0000_0013]);
    text.0.remove(&(PC + 2));
    let Plan::Run { stops, .. } = text.plan(hart(&numbered())) else {
        panic!("it cannot be carried out");
    };
    assert_eq!(stops.as_slice(), [0x8020_0100]);
}

#[test]
fn a_vectored_handler_begins_in_several_places() {
    let x = numbered();
    let vectored = Hart {
        stvec: 0x8020_0101,
        ..hart(&x)
    };
    let Plan::Run { stops, .. } = Text::at(PC, &[0x0001]).plan(vectored) else {
        panic!("it is not carried out");
    };
    let handler = 0x8020_0100;
    assert_eq!(
        stops.as_slice(),
        [handler, handler + 4, handler + 20, handler + 36, PC + 2]
    );
}

#[test]
fn from_lr_to_sc_is_one_step() {
    let handler = 0x8020_0100;
    let lr = 0x1005_252f; // lr.w a0, (a0)
    let sc = 0x18b5_252f; // sc.w a0, a1, (a0)
    let out = 0x00b5_1863; // bne a0, a1, .+16
    let again = 0xfe05_1ae3; // bnez a0, .-12
    assert_eq!(stops(&[lr, sc]), [handler, PC + 8]);
    assert_eq!(stops(&[lr, out, sc, again]), [handler, PC + 20, PC + 12]);
    // Without an sc near by, or with a jump before it: an instruction like any other.
    assert_eq!(stops(&[lr, 0x0001, 0x0001]), [handler, PC + 4]);
    assert_eq!(stops(&[lr, 0x0000_8067, sc]), [handler, PC + 4]);
    let mut far = std::vec![lr];
    far.resize(30, 0x0000_0013);
    far.push(sc);
    assert_eq!(stops(&far), [handler, PC + 4]);
}

#[test]
fn writes_to_satp_and_sie_are_seen_coming() {
    let x = numbered();
    let plan = |bits| match Text::at(PC, &[bits]).plan(hart(&x)) {
        Plan::Run { satp, hold_off, .. } => (satp.map(Satp::bits), hold_off),
        other => panic!("{other:?}"),
    };
    assert_eq!(plan(0x1805_1073), (Some(0xa000), true), "csrw satp, a0");
    assert_eq!(
        plan(0x1805_2073),
        (Some(0x8000_0000_0008_fffc), true),
        "csrs satp, a0"
    );
    assert_eq!(
        plan(0x1805_3073),
        (Some(0x8000_0000_0008_5ffc), true),
        "csrc satp, a0"
    );
    assert_eq!(plan(0x1800_5073), (Some(0), true), "csrwi satp, 0");
    assert_eq!(plan(0x1040_5073), (None, false), "csrwi sie, 0");
    assert_eq!(plan(0x1040_2573), (None, false), "csrr a0, sie");
    assert_eq!(plan(0x1000_2573), (None, true), "csrr a0, sstatus");
}

#[test]
fn u_mode_runs_wfi_by_itself() {
    let x = numbered();
    let user = Hart {
        supervisor: false,
        ..hart(&x)
    };
    assert!(matches!(
        Text::at(PC, &[0x1050_0073]).plan(user),
        Plan::Run { .. }
    ));
}

/// Encodes as the specification draws the formats, bit by bit: the other way round.
mod encode {
    pub(super) fn bit(value: i64, from: u32, to: u32) -> u32 {
        ((value >> from) as u32 & 1) << to
    }

    fn scatter(value: i64, places: &[(u32, u32)]) -> u32 {
        places
            .iter()
            .map(|(from, to)| bit(value, *from, *to))
            .fold(0, |bits, one| bits | one)
    }

    pub(super) fn jal(rd: u32, offset: i64) -> u32 {
        let mut bits = 0x6f | rd << 7 | bit(offset, 20, 31) | bit(offset, 11, 20);
        for place in 1..=10 {
            bits |= bit(offset, place, 20 + place);
        }
        for place in 12..=19 {
            bits |= bit(offset, place, place);
        }
        bits
    }

    pub(super) fn branch(function: u32, rs1: u32, rs2: u32, offset: i64) -> u32 {
        let mut bits = 0x63 | function << 12 | rs1 << 15 | rs2 << 20;
        bits |= bit(offset, 12, 31) | bit(offset, 11, 7);
        for place in 1..=4 {
            bits |= bit(offset, place, 7 + place);
        }
        for place in 5..=10 {
            bits |= bit(offset, place, 20 + place);
        }
        bits
    }

    /// offset[11|4|9:8|10|6|7|3:1|5] in bits 12 to 2.
    pub(super) fn c_j(offset: i64) -> u32 {
        let order = [11, 4, 9, 8, 10, 6, 7, 3, 2, 1, 5];
        let places: std::vec::Vec<_> = order.into_iter().zip((2..=12).rev()).collect();
        0xa001 | scatter(offset, &places)
    }

    /// offset[8|4:3] rs1' offset[7:6|2:1|5].
    pub(super) fn c_branch(bnez: bool, rs1: u32, offset: i64) -> u32 {
        let places = [
            (8, 12),
            (4, 11),
            (3, 10),
            (7, 6),
            (6, 5),
            (2, 4),
            (1, 3),
            (5, 2),
        ];
        let function = if bnez { 0xe001 } else { 0xc001 };
        function | (rs1 - 8) << 7 | scatter(offset, &places)
    }
}

fn even(bits: u32) -> impl Strategy<Value = i64> {
    let half = 1i64 << (bits - 2);
    (-half..half).prop_map(|value| value * 2)
}

proptest! {
    #[test]
    fn jumps_come_back_from_their_encoding(
        rd in 0u32..32, rs1 in 1u32..32, wide in even(21), narrow in even(12), immediate in -2048i64..2048,
    ) {
        let (link, base) = (rd as usize, rs1 as usize);
        prop_assert_eq!(decode(encode::jal(rd, wide)), Kind::Jump { link, offset: wide });
        prop_assert_eq!(decode(encode::c_j(narrow)), Kind::Jump { link: 0, offset: narrow });
        let jalr = 0x67 | rd << 7 | rs1 << 15 | (immediate as u32 & 0xfff) << 20;
        prop_assert_eq!(decode(jalr), Kind::JumpRegister { link, base, offset: immediate });
        let c_jr = 0x8002 | rs1 << 7;
        prop_assert_eq!(decode(c_jr), Kind::JumpRegister { link: 0, base, offset: 0 });
        prop_assert_eq!(decode(c_jr | 1 << 12), Kind::JumpRegister { link: 1, base, offset: 0 });
    }

    #[test]
    fn branches_come_back_from_their_encoding(
        rs1 in 0u32..32, rs2 in 0u32..32, small in 8u32..16, wide in even(13), narrow in even(9),
    ) {
        for (function, condition) in [
            (0, Condition::Equal), (1, Condition::NotEqual), (4, Condition::Less),
            (5, Condition::GreaterOrEqual), (6, Condition::LessUnsigned),
            (7, Condition::GreaterOrEqualUnsigned),
        ] {
            let (left, right) = (rs1 as usize, rs2 as usize);
            prop_assert_eq!(
                decode(encode::branch(function, rs1, rs2, wide)),
                Kind::Branch { condition, left, right, offset: wide }
            );
        }
        for (bnez, condition) in [(false, Condition::Equal), (true, Condition::NotEqual)] {
            prop_assert_eq!(
                decode(encode::c_branch(bnez, small, narrow)),
                Kind::Branch { condition, left: small as usize, right: 0, offset: narrow }
            );
        }
    }

    #[test]
    fn conditions_are_those_of_integers(left: u64, right: u64) {
        let (signed_left, signed_right) = (left.cast_signed(), right.cast_signed());
        prop_assert_eq!(Condition::Less.holds(left, right), signed_left < signed_right);
        prop_assert_eq!(Condition::GreaterOrEqual.holds(left, right), signed_left >= signed_right);
        prop_assert_eq!(Condition::LessUnsigned.holds(left, right), left < right);
        prop_assert_eq!(Condition::GreaterOrEqualUnsigned.holds(left, right), left >= right);
        prop_assert!(Condition::Equal.holds(left, left) && !Condition::NotEqual.holds(left, left));
    }

    /// Whatever the bits are, control stays: somewhere is a stop, or the stub knows where it leads.
    #[test]
    fn any_instruction_is_survived(bits: [u32; 8], registers: [u64; 32], stvec: u64, pc: u64) {
        let pc = pc & !1;
        let mut text = Text::default();
        for (number, bits) in bits.into_iter().enumerate() {
            let address = pc.wrapping_add(4 * number as u64);
            text.0.insert(address, bits as u16);
            text.0.insert(address.wrapping_add(2), (bits >> 16) as u16);
        }
        let hart = Hart { x: &registers, pc, supervisor: true, stvec, sepc: 2, satp: 0 };
        match text.plan(hart) {
            Plan::Run { stops, .. } => {
                let stops = stops.as_slice();
                prop_assert!(stops.contains(&(stvec & !3)));
                prop_assert!(stops.iter().all(|stop| stop % 2 == 0));
            }
            Plan::CarryOut { pc, link } => {
                prop_assert_eq!(pc % 2, 0);
                prop_assert!(link.is_none_or(|(register, _)| (1..32).contains(&register)));
            }
        }
    }
}
