//! The target's description: which register has which number.
//!
//! ```text
//!  target.xml   <target><architecture>riscv:rv64</architecture>
//!                 <xi:include href="riscv-64bit-cpu.xml"/>      zero … t6, pc   0 … 32
//!                 <xi:include href="riscv-64bit-fpu.xml"/>      ft0 … ft11      33 …
//!                 <xi:include href="riscv-64bit-virtual.xml"/>  priv
//!                 <xi:include href="riscv-csr.xml"/>            satp regnum="450" …
//! ```
//!
//! A register without a number has the one after the register before it, across features ("Debugging
//! with GDB", section "Registers" of "Target Descriptions"). So satp's number is not a constant: it
//! moves when the vector extension's feature comes before the CSRs (QEMU
//! `target/riscv/gdbstub.c`, `riscv_cpu_register_gdb_regs_for_features`).
//!
//! Invariants: bounded in documents, bytes and registers; includes are asked from the stub only, and
//! an include of an include that is being read ends there.

use roxmltree::{Document, Node, ParsingOptions};

use crate::link::LinkError;

/// Most documents of one description.
const MAX_DOCUMENTS: usize = 32;

/// Most bytes of one document. QEMU's longest, riscv-csr.xml, has 7 KiB.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 18;

/// Most registers: all CSRs there can be, and room.
const MAX_REGISTERS: usize = 8192;

/// How deep includes may nest.
const MAX_DEPTH: usize = 4;

/// Most elements nested in each other. The parser is recursive; real ones have three.
const MAX_NESTED: usize = 64;

/// The document that a description begins with.
pub const ROOT: &str = "target.xml";

/// A register of the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterInfo {
    /// Its name, such as `a0` or `satp`.
    pub name: String,
    /// Its number in `p` packets.
    pub number: u32,
    /// Its size.
    pub bits: u32,
}

/// The target's architecture and registers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// As `<architecture>` names it.
    pub architecture: String,
    /// In the order of the documents.
    pub registers: Vec<RegisterInfo>,
}

/// A description that cannot be read.
#[derive(Debug)]
pub enum DescriptionError {
    /// A document could not be had.
    Link(LinkError),
    /// A document makes no sense.
    Malformed(String),
}

impl Description {
    /// Reads the description, getting each document by its name from `fetch`; `None`: there is none.
    ///
    /// # Errors
    /// When a document cannot be had or makes no sense.
    pub fn read(
        fetch: &mut dyn FnMut(&str) -> Result<Option<String>, LinkError>,
    ) -> Result<Self, DescriptionError> {
        let mut reader = Reader {
            fetch,
            description: Self::default(),
            next_number: 0,
            documents: 0,
        };
        reader.document(ROOT, 0)?;
        Ok(reader.description)
    }

    /// The register with this name.
    pub fn register(&self, name: &str) -> Option<&RegisterInfo> {
        self.registers.iter().find(|register| register.name == name)
    }

    /// The integer register's size in bits, as its description says.
    pub fn xlen_bits(&self) -> Option<u32> {
        let integer = self.register("pc").or_else(|| self.register("sp"));
        integer.map(|register| register.bits)
    }
}

struct Reader<'a> {
    fetch: &'a mut dyn FnMut(&str) -> Result<Option<String>, LinkError>,
    description: Description,
    next_number: u32,
    documents: usize,
}

impl Reader<'_> {
    fn document(&mut self, name: &str, depth: usize) -> Result<(), DescriptionError> {
        self.documents += 1;
        if depth > MAX_DEPTH || self.documents > MAX_DOCUMENTS {
            return Err(malformed(name, "too many documents include each other"));
        }
        let text = (self.fetch)(name).map_err(DescriptionError::Link)?;
        let text = text.ok_or_else(|| malformed(name, "the stub does not have it"))?;
        if text.len() > MAX_DOCUMENT_BYTES || nesting(&text) > MAX_NESTED {
            return Err(malformed(name, "it is too large"));
        }
        // QEMU writes the prefix without declaring it.
        let text = text.replace("<xi:include", "<include");
        let text = text.replace("</xi:include", "</include");
        let options = ParsingOptions {
            // The declaration only: nothing outside the text is ever opened.
            allow_dtd: true,
            nodes_limit: 1 << 16,
            ..ParsingOptions::default()
        };
        let parsed = Document::parse_with_options(&text, options)
            .map_err(|error| malformed(name, &error.to_string()))?;
        self.element(parsed.root_element(), name, depth)
    }

    fn element(
        &mut self,
        element: Node<'_, '_>,
        name: &str,
        depth: usize,
    ) -> Result<(), DescriptionError> {
        for node in element.descendants().filter(Node::is_element) {
            match node.tag_name().name() {
                "architecture" => {
                    let named = node.text().unwrap_or_default().trim();
                    if self.description.architecture.is_empty() {
                        self.description.architecture = named.chars().take(64).collect();
                    }
                }
                "include" => {
                    let href = node.attribute("href").unwrap_or_default();
                    // A name goes into a packet between colons.
                    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                    if href.is_empty() || !href.chars().all(plain) {
                        return Err(malformed(name, "it includes a name that is none"));
                    }
                    self.document(href, depth + 1)?;
                }
                "reg" => self.register(node, name)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn register(&mut self, node: Node<'_, '_>, document: &str) -> Result<(), DescriptionError> {
        let number = match node.attribute("regnum") {
            Some(text) => text
                .parse()
                .map_err(|_| malformed(document, "a register's number is none"))?,
            None => self.next_number,
        };
        self.next_number = number.saturating_add(1);
        if self.description.registers.len() == MAX_REGISTERS {
            return Err(malformed(document, "it has too many registers"));
        }
        let bits = node.attribute("bitsize").and_then(|text| text.parse().ok());
        self.description.registers.push(RegisterInfo {
            name: node.attribute("name").unwrap_or_default().to_owned(),
            number,
            bits: bits.unwrap_or(0),
        });
        Ok(())
    }
}

/// An upper bound of how deep elements nest: opening tags that are neither closed nor empty.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for tag in text.split('<').skip(1) {
        match tag.bytes().next() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!' | b'?') => {}
            _ if tag.split('>').next().is_some_and(|tag| tag.ends_with('/')) => {}
            _ => depth += 1,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn malformed(document: &str, what: &str) -> DescriptionError {
    DescriptionError::Malformed(format!("{document}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(documents: &[(&str, &str)]) -> Result<Description, DescriptionError> {
        Description::read(&mut |name| {
            let found = documents.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, text)| (*text).to_owned()))
        })
    }

    /// The shape of QEMU 7.2's description, shortened.
    const TARGET: &str = r#"<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>riscv:rv64</architecture><xi:include href="cpu.xml"/><xi:include href="csr.xml"/></target>"#;

    #[test]
    fn numbers_follow_from_order_and_regnum() {
        let description = read(&[
            ("target.xml", TARGET),
            (
                "cpu.xml",
                r#"<?xml version="1.0"?><!-- c --><!DOCTYPE feature SYSTEM "gdb-target.dtd">
                <feature name="org.gnu.gdb.riscv.cpu"><reg name="zero" bitsize="64"/>
                <reg name="ra" bitsize="64"/><reg name="pc" bitsize="64"/></feature>"#,
            ),
            (
                "csr.xml",
                r#"<feature name="csr"><reg name="first" bitsize="64"/>
                <reg name="satp" bitsize="64" regnum="450"/><reg name="next" bitsize="64"/></feature>"#,
            ),
        ])
        .unwrap();
        assert_eq!(description.architecture, "riscv:rv64");
        assert_eq!(description.xlen_bits(), Some(64));
        let number = |name| description.register(name).unwrap().number;
        assert_eq!(
            (
                number("pc"),
                number("first"),
                number("satp"),
                number("next")
            ),
            (2, 3, 450, 451)
        );
    }

    #[test]
    fn hostile_documents_are_refused() {
        let entities = r#"<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">
            <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;">]><t>&d;</t>"#;
        let deep = "<a>".repeat(80_000);
        let long = "x".repeat(MAX_DOCUMENT_BYTES + 1);
        for document in [
            r#"<target><xi:include href="target.xml"/></target>"#,
            r#"<target><xi:include href="../../etc/passwd"/></target>"#,
            r#"<target><xi:include href="missing.xml"/></target>"#,
            r#"<target><reg regnum="-1"/></target>"#,
            entities,
            &deep,
            &long,
            "",
            "<",
        ] {
            assert!(read(&[("target.xml", document)]).is_err(), "{document:.80}");
        }
        // A number at the end of the range does not overflow.
        let last = r#"<target><reg name="a" regnum="4294967295"/><reg name="b"/></target>"#;
        assert!(read(&[("target.xml", last)]).is_ok());
    }

    proptest! {
        #[test]
        fn anything_is_survived(text in "[<>/a-z\"= !&;?\\[\\]-]{0,200}") {
            let _ = read(&[("target.xml", &text)]);
        }
    }
}
