//! Reads an expression and works it out in one go, by recursive descent.
//!
//! ```text
//!  or     = and  { "|" and }            sum     = product { ("+" | "-") product }
//!  and    = shift { "&" shift }         product = unary { "*" unary }
//!  shift  = sum { ("<<" | ">>") sum }   unary   = ("*" | "&" | "p:" | "v:") unary | primary { "[" or "]" }
//! ```

use std::ops::Range;

use pagescope_protocol::snapshot::SpaceOutcome;
use pagescope_protocol::{Level, PhysAddr, PhysPage, Pte, TranslationMode, VirtAddr};

use super::names;
use super::{ExpressionError, Kind, MAX_TEXT, Scope, Value};
use crate::model::Selection;

/// How deep parentheses and the like may lie in each other.
const MAX_DEPTH: u32 = 32;

/// From this many digits on a number is an address, and hexadecimal, wherever it stands.
const ADDRESS_DIGITS: usize = 8;

/// Said where nothing was typed.
const EMPTY: &str =
    "type an address: 0x87ff3000 is virtual, p:0x87ff3000 is physical; or a name, or sp + 16";

type Result<T> = std::result::Result<T, ExpressionError>;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Nothing but an opening parenthesis or a prefix stands before: a number here is an address.
    is_first: bool,
    scope: &'a Scope<'a>,
}

/// What `text` comes to.
pub(super) fn parse(text: &str, scope: &Scope<'_>) -> Result<Value> {
    let fail = |at: Range<usize>, what: &str| {
        Err(ExpressionError {
            at,
            what: what.to_owned(),
        })
    };
    if text.len() > MAX_TEXT {
        return fail(0..text.len(), "that is too long for an expression");
    }
    let inner = text.trim();
    if inner.is_empty() {
        return fail(0..text.len(), EMPTY);
    }
    // A name is a name, whatever stands in it.
    if let Some(value) = names::meaning(inner, scope) {
        return Ok(value);
    }
    let mut parser = Parser {
        text,
        at: text.len() - text.trim_start().len(),
        depth: 0,
        is_first: true,
        scope,
    };
    // Where it stands first it is said of the whole: p:sp + 8.
    let prefix = parser.takes_prefix();
    let value = parser.or()?;
    parser.space();
    if parser.at < text.trim_end().len() {
        let at = parser.at..text.trim_end().len();
        return Err(parser.unexpected(at));
    }
    Ok(prefix.map_or(value, |kind| value.as_kind(kind)))
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Goes past `sign`, if it stands here.
    fn takes(&mut self, sign: &str) -> bool {
        self.space();
        let is_here = self.rest().starts_with(sign);
        if is_here {
            self.at += sign.len();
        }
        is_here
    }

    fn fail<T>(&self, at: Range<usize>, what: impl Into<String>) -> Result<T> {
        Err(ExpressionError {
            at,
            what: what.into(),
        })
    }

    fn unexpected(&self, at: Range<usize>) -> ExpressionError {
        let found = self.text.get(at.clone()).unwrap_or_default();
        let what = match found.chars().next() {
            Some(')') => "there is no ( for this )".to_owned(),
            Some(']') => "there is no [ for this ]".to_owned(),
            Some(_) => {
                format!("{found:?} cannot stand here: an operator is missing, + - * << >> & |")
            }
            None => "something is missing at the end".to_owned(),
        };
        ExpressionError { at, what }
    }

    fn or(&mut self) -> Result<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(self.at..self.text.len(), "that is nested too deep");
        }
        let mut left = self.and()?;
        while self.takes("|") {
            let right = self.and()?;
            left = Value::new(left.bits | right.bits, left.kind);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Value> {
        let mut left = self.shift()?;
        while self.takes("&") {
            let right = self.shift()?;
            left = Value::new(left.bits & right.bits, left.kind);
        }
        Ok(left)
    }

    fn shift(&mut self) -> Result<Value> {
        let mut left = self.sum()?;
        loop {
            let is_left = if self.takes("<<") {
                true
            } else if self.takes(">>") {
                false
            } else {
                return Ok(left);
            };
            let start = self.at;
            let by = self.sum()?.bits;
            let at = start..self.at;
            let Some(by) = u32::try_from(by).ok().filter(|by| *by < 64) else {
                return self.fail(at, format!("a number of 64 bits cannot be shifted by {by}"));
            };
            // What falls out at the top would be lost without a word.
            if is_left && left.bits.leading_zeros() < by && left.bits != 0 {
                return self.fail(
                    at,
                    format!("{:#x} << {by} has more than 64 bits", left.bits),
                );
            }
            let bits = if is_left {
                left.bits << by
            } else {
                left.bits >> by
            };
            left = Value::new(bits, Kind::Number);
        }
    }

    fn sum(&mut self) -> Result<Value> {
        let mut left = self.product()?;
        loop {
            self.space();
            let start = self.at;
            let is_plus = if self.takes("+") {
                true
            } else if self.takes("-") {
                false
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            let at = start..self.at;
            let kind = match (left.kind, right.kind, is_plus) {
                (kind, Kind::Number, _) | (Kind::Number, kind, true) => kind,
                (one, other, false) if one == other => Kind::Number,
                (one, other, true) if one == other => {
                    return self.fail(at, "two addresses cannot be added; add a number of bytes");
                }
                _ => {
                    return self.fail(
                        at,
                        "a virtual and a physical address are not of one map; pa(x) translates",
                    );
                }
            };
            let bits = if is_plus {
                left.bits.checked_add(right.bits)
            } else {
                left.bits.checked_sub(right.bits)
            };
            let Some(bits) = bits else {
                let [one, other] = [left.bits, right.bits];
                return self.fail(
                    at,
                    match is_plus {
                        true => format!("{one:#x} + {other:#x} has more than 64 bits"),
                        false => format!("{one:#x} - {other:#x} is less than 0"),
                    },
                );
            };
            left = Value::new(bits, kind);
        }
    }

    fn product(&mut self) -> Result<Value> {
        let mut left = self.unary()?;
        loop {
            self.space();
            let start = self.at;
            if !self.takes("*") {
                return Ok(left);
            }
            let right = self.unary()?;
            let Some(bits) = left.bits.checked_mul(right.bits) else {
                let [one, other] = [left.bits, right.bits];
                let what = format!("{one:#x} * {other:#x} has more than 64 bits");
                return self.fail(start..self.at, what);
            };
            left = Value::new(bits, Kind::Number);
        }
    }

    fn unary(&mut self) -> Result<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail(self.at..self.text.len(), "that is nested too deep");
        }
        self.space();
        let start = self.at;
        let value = if let Some(kind) = self.takes_prefix() {
            let of = self.unary()?;
            of.as_kind(kind)
        } else if self.takes("*") {
            let of = self.unary()?;
            self.word_at(&of, start..self.at)?
        } else if self.takes("&") {
            // As C has it: a name is its address already.
            self.unary()?
        } else {
            self.postfix()?
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Goes past `p:` or `v:`, if it stands here. `p::map` is a name.
    fn takes_prefix(&mut self) -> Option<Kind> {
        let mut letters = self.rest().chars();
        let kind = match letters.next()? {
            'p' | 'P' => Kind::Physical,
            'v' | 'V' => Kind::Virtual,
            _ => return None,
        };
        let is_prefix = letters.next() == Some(':') && letters.next() != Some(':');
        let is_name = || names::longest_at(self.rest(), self.scope).is_some_and(|it| it.len() > 2);
        if !is_prefix || is_name() {
            return None;
        }
        self.at += 2;
        Some(kind)
    }

    fn postfix(&mut self) -> Result<Value> {
        self.space();
        let start = self.at;
        let mut value = self.primary()?;
        self.is_first = false;
        while self.takes("[") {
            let index = self.or()?;
            if !self.takes("]") {
                return self.fail(start..self.at, "the ] is missing");
            }
            value = self.entry(&value, index.bits, start..self.at)?;
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Value> {
        let start = self.at;
        if self.takes("(") {
            let value = self.or()?;
            if !self.takes(")") {
                return self.fail(start..self.at, "the ) is missing");
            }
            return Ok(value);
        }
        if self.takes("[") {
            let of = self.or()?;
            if !self.takes("]") {
                return self.fail(start..self.at, "the ] is missing");
            }
            return self.word_at(&of, start..self.at);
        }
        for quote in ["\"", "'"] {
            if self.takes(quote) {
                return self.quoted(start, quote);
            }
        }
        let word = self.take_word();
        if word.is_empty() {
            let end = self.rest().chars().next().map_or(0, char::len_utf8);
            let at = start..start + end;
            return match end {
                0 => self.fail(at, "something is missing here: an address or a name"),
                _ => self.fail(at, "here an address or a name is expected"),
            };
        }
        self.word(word.as_str(), start..self.at)
    }

    fn quoted(&mut self, start: usize, quote: &str) -> Result<Value> {
        let Some(length) = self.rest().find(quote) else {
            return self.fail(
                start..self.text.len(),
                format!("the closing {quote} is missing"),
            );
        };
        let name = self.rest()[..length].to_owned();
        self.at += length + quote.len();
        match names::meaning(&name, self.scope) {
            Some(value) => Ok(value),
            None => self.unknown(&name, start..self.at),
        }
    }

    /// The longest name that stands here, else a word.
    fn take_word(&mut self) -> String {
        let rest = self.rest();
        let mut length = 0;
        let mut letters = rest.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            // `::` is part of a Rust name; one colon is not.
            let is_path = letter == ':'
                && (letters.peek().is_some_and(|(_, next)| *next == ':')
                    || rest[..at].ends_with(':'));
            if !names::is_word(letter) && !is_path {
                break;
            }
            length = at + letter.len_utf8();
        }
        let known = names::longest_at(rest, self.scope).map_or(0, str::len);
        let word = rest[..length.max(known)].to_owned();
        self.at += word.len();
        word
    }

    fn word(&mut self, word: &str, at: Range<usize>) -> Result<Value> {
        let next = self.rest().trim_start().chars().next();
        if let Some(level) = names::level(word)
            && (matches!(next, Some('[' | '(')) || names::meaning(word, self.scope).is_none())
        {
            return self.level(level, at);
        }
        let is_function = names::FUNCTIONS.iter().any(|(name, _)| *name == word);
        if next == Some('(') && is_function {
            return self.function(word, at);
        }
        if let Some(value) = names::meaning(word, self.scope) {
            return Ok(value);
        }
        self.number(word, at)
    }

    fn number(&self, word: &str, at: Range<usize>) -> Result<Value> {
        let plain = word.replace('_', "");
        let (digits, radix) = match plain.get(..2) {
            Some("0x" | "0X") => (&plain[2..], 16),
            Some("0b" | "0B")
                if plain.len() > 2 && plain[2..].bytes().all(|b| b"01".contains(&b)) =>
            {
                // Eleven is `b` in hexadecimal: a longer one is meant so only where it stands first.
                (&plain[2..], 2)
            }
            Some("0d") if plain.len() > 2 && plain[2..].bytes().all(|b| b.is_ascii_digit()) => {
                (&plain[2..], 10)
            }
            _ => {
                let is_decimal = plain.bytes().all(|byte| byte.is_ascii_digit());
                let is_address = self.is_first || plain.len() >= ADDRESS_DIGITS;
                (
                    plain.as_str(),
                    if is_decimal && !is_address { 10 } else { 16 },
                )
            }
        };
        let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        if !is_number {
            return self.unknown(word, at);
        }
        match u64::from_str_radix(digits, radix) {
            Ok(bits) => Ok(Value::new(bits, Kind::Number)),
            Err(_) => self.fail(at, format!("{word} has more than 64 bits")),
        }
    }

    fn unknown<T>(&self, word: &str, at: Range<usize>) -> Result<T> {
        let similar = names::similar(word, self.scope);
        let what = match similar.as_slice() {
            [] => format!(
                "{word:?} is neither a number nor a name that is known: type 0x87ff3000, p:0x87ff3000, \
                 or the name of a region, a symbol or a register"
            ),
            names => format!(
                "{word:?} is neither a number nor a name that is known; did you mean {}?",
                names.join(" or ")
            ),
        };
        self.fail(at, what)
    }

    /// `l0`, or `l0(0x87ffe000)`: a table.
    fn level(&mut self, level: Level, at: Range<usize>) -> Result<Value> {
        if self.takes("(") {
            let frame = self.or()?;
            if !self.takes(")") {
                return self.fail(at.start..self.at, "the ) is missing");
            }
            return self.table_in(level, frame.bits, at.start..self.at);
        }
        let mut on_the_way = self.scope.tables.iter();
        if let Some((_, frame)) = on_the_way.find(|(other, _)| *other == level) {
            return Ok(names::table(level, *frame));
        }
        let tables = self.scope.space.map(|space| &space.tables);
        let mut tables = tables
            .into_iter()
            .flat_map(|tables| tables.iter())
            .filter(|table| table.level == level);
        match (tables.next(), tables.next()) {
            (None, _) => self.fail(at, format!("this space has no {level} table")),
            (Some(table), None) => Ok(names::table(level, table.frame)),
            (Some(table), Some(_)) => {
                let (name, frame) = (level.to_string().to_lowercase(), table.frame);
                self.fail(
                    at,
                    format!(
                        "this space has several {level} tables: select an address first, or type \
                         {name}({frame})"
                    ),
                )
            }
        }
    }

    fn table_in(&self, level: Level, address: u64, at: Range<usize>) -> Result<Value> {
        let frame = PhysAddr::new(address).page();
        let is_there = frame.is_some_and(|frame| {
            let space = self.scope.space;
            space.is_some_and(|space| space.table_at(frame, level).is_some())
        });
        match frame.filter(|_| is_there) {
            Some(frame) => Ok(names::table(level, frame)),
            None => self.fail(
                at,
                format!("there is no {level} table at {address:#x} in this space"),
            ),
        }
    }

    /// The entry `index` of the table that `of` names or lies at.
    fn entry(&self, of: &Value, index: u64, at: Range<usize>) -> Result<Value> {
        let found = match (of.target, self.scope.space) {
            (Some(Selection::Table { level, frame }), Some(space)) => Some((space, level, frame)),
            (_, Some(space)) => {
                let frame = PhysAddr::new(of.bits).page();
                let frame = frame.filter(|frame| frame.start().as_u64() == of.bits);
                let table = frame.and_then(|frame| space.table(frame));
                table.map(|table| (space, table.level, table.frame))
            }
            (_, None) => None,
        };
        let Some((space, level, frame)) = found else {
            let what = "[…] takes an entry of a table, as in root[2] or l0[499]";
            return self.fail(at, what);
        };
        let entries = space.mode.entries(level);
        let Some(place) = usize::try_from(index).ok().filter(|index| *index < entries) else {
            let last = entries.saturating_sub(1);
            return self.fail(
                at,
                format!("a table at {level} has entries 0 to {last}, not {index}"),
            );
        };
        Ok(Value {
            bits: space.mode.entry_address(frame, place).as_u64(),
            kind: Kind::Physical,
            target: Some(Selection::Entry {
                level,
                table: frame,
                index: place,
            }),
        })
    }

    fn function(&mut self, name: &str, at: Range<usize>) -> Result<Value> {
        self.takes("(");
        let of = self.or()?;
        if !self.takes(")") {
            return self.fail(at.start..self.at, "the ) is missing");
        }
        let at = at.start..self.at;
        Ok(match name {
            "pa" => Value::new(self.physical(&of, at)?.as_u64(), Kind::Physical),
            "page" => Value::new(of.bits & !0xfff, of.kind),
            "ppn" => Value::new(of.bits >> 12, Kind::Number),
            _ => {
                let page: PhysPage = Pte::from_bits(of.bits).page();
                Value::new(page.start().as_u64(), Kind::Physical)
            }
        })
    }

    /// The physical address that `of` is, or leads to.
    fn physical(&self, of: &Value, at: Range<usize>) -> Result<PhysAddr> {
        if of.kind == Kind::Physical {
            return Ok(PhysAddr::new(of.bits));
        }
        let translating = self
            .scope
            .space
            .filter(|space| space.mode != TranslationMode::Bare);
        let Some(space) = translating else {
            return Ok(PhysAddr::new(of.bits));
        };
        let virt = VirtAddr::new(of.bits);
        match self.scope.snapshot.translate(space, virt).outcome() {
            SpaceOutcome::Mapped(physical) => Ok(physical),
            SpaceOutcome::Fault(why) => self.fail(at, format!("{virt}: {why}")),
            SpaceOutcome::Unreadable(entry) => self.fail(
                at,
                format!("{virt}: the entry at {entry} could not be read"),
            ),
        }
    }

    /// The word that lies at `of`.
    fn word_at(&self, of: &Value, at: Range<usize>) -> Result<Value> {
        let physical = self.physical(of, at.clone())?;
        match word_in(self.scope, physical) {
            Some(bits) => Ok(Value::new(bits, Kind::Number)),
            None => self.fail(
                at,
                format!(
                    "this moment does not hold what lies at {physical}: page tables can be read, and frames \
                     that were captured"
                ),
            ),
        }
    }
}

/// The word at a physical address, as far as the moment holds it.
fn word_in(scope: &Scope<'_>, at: PhysAddr) -> Option<u64> {
    let snapshot = scope.snapshot;
    if let Some(space) = scope.space {
        let bytes = space.mode.entry_bytes().max(1);
        if at.is_aligned(bytes)
            && let Some(pte) = space.entry_at(at)
        {
            return Some(pte.bits());
        }
    }
    if !at.is_aligned(8) {
        return None;
    }
    if let Some(heap) = snapshot.heap
        && heap.counter_address == at
    {
        return Some(heap.counter);
    }
    let frame = at.page()?;
    let place = (at.page_offset() / 8) as usize;
    let mut spaces = snapshot.spaces.iter();
    if let Some(words) = spaces.find_map(|space| space.frame_words(frame)) {
        return words.get(place).copied();
    }
    let held = snapshot.frames.iter().find(|held| held.frame == frame);
    if let Some(word) = held.and_then(|held| held.words.words().get(place)) {
        return Some(*word);
    }
    // A smaller one says nothing of the bytes after it.
    let mut watches = snapshot.watches.iter();
    let watch = watches.find(|watch| watch.address == at && watch.bytes == 8)?;
    watch.value
}
