//! Types from debug information that is written here, as a compiler of 2005 would: DWARF 2, where a member's offset
//! is an expression. What compilers write today is in `cargo xtask guests`.

use super::Sections;
use super::types::{ArrayType, Types};
use crate::guest::profile::field::Path;

/// Abbreviations: a unit, a struct, a member, a pointer, an array, its range, a variable, a number.
const ABBREV: &[u8] = &[
    1, 0x11, 1, 0, 0, // compile unit, with children
    2, 0x13, 1, 0x03, 0x08, 0x0b, 0x0b, 0, 0, // struct: name, byte_size
    3, 0x0d, 0, 0x03, 0x08, 0x49, 0x13, 0x38, 0x0a, 0,
    0, // member: name, type, location block
    4, 0x0f, 0, 0x0b, 0x0b, 0x49, 0x13, 0, 0, // pointer: byte_size, type
    5, 0x01, 1, 0x49, 0x13, 0, 0, // array: type
    6, 0x21, 0, 0x2f, 0x0b, 0, 0, // subrange: upper bound
    7, 0x34, 0, 0x03, 0x08, 0x49, 0x13, 0, 0, // variable: name, type
    8, 0x24, 0, 0x0b, 0x0b, 0, 0, // base type: byte_size
    0,
];

/// ```text
/// struct mm { u64 _; u64 pgd; };
/// struct proc { u64 lock[2]; u32 pid at 48; struct mm *mm at 56; } proc[64]   of 360 bytes
/// ```
fn info() -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend([2, 0, 0, 0, 0, 0, 8]);
    out.push(1);
    let number = out.len() as u32;
    out.extend([8, 8]);
    let short = out.len() as u32;
    out.extend([8, 4]);
    let member = |out: &mut Vec<u8>, name: &str, ty: u32, at: u8| {
        out.push(3);
        out.extend(name.bytes().chain([0]));
        out.extend(ty.to_le_bytes());
        // One operation, DW_OP_plus_uconst.
        out.extend([2, 0x23, at]);
    };
    let mm = out.len() as u32;
    out.extend(b"\x02mm\0\x10");
    member(&mut out, "pgd", number, 8);
    out.push(0);
    let pointer = out.len() as u32;
    out.extend([4, 8]);
    out.extend(mm.to_le_bytes());
    let proc = out.len() as u32;
    out.extend(b"\x02proc\0\x78");
    member(&mut out, "pid", short, 48);
    member(&mut out, "mm", pointer, 56);
    out.push(0);
    let array = out.len() as u32;
    out.push(5);
    out.extend(proc.to_le_bytes());
    out.extend([6, 63, 0]);
    out.extend(b"\x07proc\0");
    out.extend(array.to_le_bytes());
    out.push(0);
    let length = out.len() as u32 - 4;
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}

fn sections(info: Vec<u8>) -> Sections {
    Sections::of(vec![
        (".debug_info", info),
        (".debug_abbrev", ABBREV.to_vec()),
    ])
}

fn path(text: &str) -> Path {
    Path::try_from(text.to_owned()).expect("a path")
}

#[test]
fn members_are_where_the_compiler_put_them() {
    let sections = sections(info());
    let mut types = Types::new(&sections, &["proc"], &["proc"]);
    let pid = types.member("proc", &path("pid")).expect("a pid");
    assert_eq!((pid.offsets, pid.size), (vec![48], 4));
    let pgd = types.member("proc", &path("mm->pgd")).expect("a pgd");
    assert_eq!((pgd.offsets, pgd.size), (vec![56, 8], 8));
    let array = ArrayType {
        count: 64,
        stride: 0x78,
    };
    assert_eq!(types.array("proc"), Some(array));
    for nothing in ["nobody", "pid->pgd", "mm.pgd", "mm->nobody"] {
        assert_eq!(types.member("proc", &path(nothing)), None, "{nothing}");
    }
}

#[test]
fn damaged_information_is_survived() {
    let whole = info();
    let all = path("mm->pgd");
    for place in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = value;
            let sections = sections(damaged);
            let mut types = Types::new(&sections, &["proc"], &["proc"]);
            let _ = types.member("proc", &all);
            let _ = types.array("proc");
        }
        let cut = sections(whole[..place].to_vec());
        let _ = Types::new(&cut, &["proc"], &["proc"]).member("proc", &all);
    }
}
