//! QMP: a line of JSON each way (QEMU's `docs/interop/qmp-spec`).
//!
//! ```text
//!  ◀ {"QMP": {"version": {…}, "capabilities": [...]}}
//!  ▶ {"execute": "qmp_capabilities", "id": 1}
//!  ◀ {"return": {}, "id": 1}
//!  ▶ {"execute": "human-monitor-command", "arguments": {"command-line": "info registers -a"}, "id": 2}
//!  ◀ {"event": "RESUME", …}                     passed over
//!  ◀ {"return": "\r\nCPU#0\r\n…", "id": 2}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Status;

/// A command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execute<'a> {
    name: &'static str,
    command_line: Option<&'a str>,
}

/// Ends the negotiation that a connection begins with.
pub(super) const CAPABILITIES: Execute<'static> = Execute {
    name: "qmp_capabilities",
    command_line: None,
};

/// What the machine does.
pub(super) const QUERY_STATUS: Execute<'static> = Execute {
    name: "query-status",
    command_line: None,
};

#[derive(Serialize)]
struct Request<'a> {
    execute: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments<'a>>,
    id: u64,
}

#[derive(Serialize)]
struct Arguments<'a> {
    #[serde(rename = "command-line")]
    command_line: &'a str,
}

impl<'a> Execute<'a> {
    /// A command of the monitor for people.
    pub(super) const fn for_people(command_line: &'a str) -> Self {
        Self {
            name: "human-monitor-command",
            command_line: Some(command_line),
        }
    }

    /// The line that is sent.
    pub(super) fn line(self, id: u64) -> String {
        let request = Request {
            execute: self.name,
            arguments: self
                .command_line
                .map(|command_line| Arguments { command_line }),
            id,
        };
        // Strings and numbers are always written.
        let text = serde_json::to_string(&request).unwrap_or_default();
        text + "\n"
    }
}

/// Whether what was heard first begins as QMP does; `None` while it cannot be told.
pub(super) fn is_greeting(heard: &[u8]) -> Option<bool> {
    let first = heard.iter().find(|byte| !byte.is_ascii_whitespace())?;
    Some(*first == b'{')
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "return")]
    returned: Option<Value>,
    error: Option<Refusal>,
    id: Option<Value>,
    event: Option<Value>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    desc: String,
}

/// What a line says to the command with this number: what it returns or why it is refused; `None` where the
/// line is an event or answers somebody else.
///
/// # Errors
/// Where the line is no QMP at all.
pub(super) fn answer(line: &[u8], id: u64) -> Result<Option<Result<Value, String>>, String> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let line: Line =
        serde_json::from_slice(line).map_err(|error| format!("its line is no QMP ({error})"))?;
    let is_ours = line.id == Some(Value::from(id));
    Ok(match (line.returned, line.error) {
        _ if line.event.is_some() || !is_ours => None,
        (_, Some(refusal)) => Some(Err(refusal.desc)),
        (Some(returned), None) => Some(Ok(returned)),
        (None, None) => None,
    })
}

/// What `query-status` returned.
pub(super) fn status(returned: &Value) -> Option<Status> {
    Some(Status {
        is_running: returned.get("running")?.as_bool()?,
        word: returned.get("status")?.as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_there_and_back() {
        assert_eq!(
            Execute::for_people("info \"x\"").line(7),
            "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info \\\"x\\\"\"},\"id\":7}\n"
        );
        assert_eq!(
            CAPABILITIES.line(1),
            "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
        );
        let answer = |line: &str| answer(line.as_bytes(), 2);
        assert_eq!(answer(r#"{"event": "STOP", "id": 2}"#), Ok(None));
        assert_eq!(answer(r#"{"return": {}, "id": 1}"#), Ok(None));
        assert_eq!(answer(r#"{"return": {}}"#), Ok(None));
        assert_eq!(answer("\r\n"), Ok(None));
        assert_eq!(
            answer(r#"{"return": "text", "id": 2}"#),
            Ok(Some(Ok("text".into())))
        );
        assert_eq!(
            answer(r#"{"id": 2, "error": {"class": "GenericError", "desc": "no"}}"#),
            Ok(Some(Err("no".to_owned())))
        );
        assert!(answer("nonsense").is_err());
        assert!(answer("[1]").is_err());
    }

    #[test]
    fn statuses() {
        let of = |text: &str| status(&serde_json::from_str(text).unwrap_or_default());
        let paused = of(r#"{"status": "prelaunch", "singlestep": false, "running": false}"#);
        assert_eq!(paused.map(|status| status.word), Some("prelaunch".into()));
        assert_eq!(of(r#"{"status": 3, "running": true}"#), None);
        assert_eq!(of(r#""running""#), None);
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in proptest::collection::vec(any::<u8>(), 0..200), id: u64) {
            let _ = answer(&line, id);
            let _ = is_greeting(&line);
        }
    }
}
