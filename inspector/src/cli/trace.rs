//! `pagescope trace`: what the kernel did last.

use std::sync::Arc;

use pagescope_protocol::snapshot::{TraceEvent, TraceKind};
use serde::Serialize;

use super::arguments::Trace;
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::text::trace_text;

#[derive(Debug, Serialize)]
struct EventAnswer {
    sequence: u64,
    kind: &'static str,
    address: String,
    size: u64,
    argument: String,
    flags: Option<String>,
    caller: String,
    symbol: String,
    hart: u64,
    /// The space that was changed; null where it is about none, or about all.
    space: Option<String>,
    time: u64,
}

pub(super) fn run(options: &Trace) -> Result<Answer, Failure> {
    let kinds = kinds(&options.kind)?;
    let known = source::Known::of(&options.guest)?.with_lines();
    let place = Place::chosen(&options.addr, &options.watch, &options.from)?;
    let snapshot = source::one_moment(place, known)?;
    let space = options.space.as_deref();
    // A space that is gone can still be asked for, by the whole name that its events have.
    let space = space
        .map(|name| {
            let is_told = |event: &Arc<TraceEvent>| event.space.as_deref() == Some(name);
            match snapshot.trace.iter().any(is_told) {
                true => Ok(name.to_owned()),
                false => source::space_named(&snapshot, name).map(|space| space.name.clone()),
            }
        })
        .transpose()?;
    let mut events: Vec<&Arc<TraceEvent>> = snapshot
        .trace
        .iter()
        .filter(|event| kinds.is_empty() || kinds.contains(&event.kind))
        .filter(|event| space.is_none() || event.space == space)
        .collect();
    if let Some(last) = options.last {
        events.drain(..events.len().saturating_sub(last));
    }
    let answer: Vec<EventAnswer> = events.iter().map(|event| answer(event)).collect();
    format::print(options.format, &answer, || match events.as_slice() {
        [] if snapshot.trace.is_empty() => "this kernel publishes no trace".into(),
        [] => "no such event among those that are kept".into(),
        events => trace_text(events.iter().map(|event| event.as_ref())),
    })?;
    Ok(Answer::Yes)
}

fn kinds(names: &[String]) -> Result<Vec<TraceKind>, Failure> {
    let parse = |name: &String| {
        let kind = TraceKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| {
            let all: Vec<&str> = TraceKind::ALL.iter().map(|kind| kind.name()).collect();
            Failure::Usage(format!(
                "there is no kind of event {name:?}; there are: {}",
                all.join(", ")
            ))
        })
    };
    names.iter().map(parse).collect()
}

fn answer(event: &TraceEvent) -> EventAnswer {
    EventAnswer {
        sequence: event.sequence,
        kind: event.kind.name(),
        address: format::hex(event.address),
        size: event.size,
        argument: format::hex(event.argument),
        flags: event.flags.map(|flags| flags.to_string()),
        caller: format::hex(event.caller.as_u64()),
        symbol: event.symbol.clone(),
        hart: event.hart,
        space: event.space.clone(),
        time: event.time,
    }
}
