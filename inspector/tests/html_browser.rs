//! The page of a lecture in a real browser, from disk: it asks for nothing, complains of nothing, and steps.
//!
//! Chromium is spoken to through two pipes (its DevTools protocol), so that every request and every message is seen.
//! `cargo xtask test` installs it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pagescope::assets::lecture;
use pagescope::export::html::lecture_html;
use pagescope::model::History;
use serde_json::{Value, json};

/// The names that Chromium has in distributions.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A browser without a window.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    next: u64,
    seen: Vec<Value>,
    _folder: tempfile::TempDir,
}

impl Browser {
    fn start() -> Self {
        let program = BROWSERS.iter().find(|name| {
            let found = Command::new("which").arg(name).output();
            found.is_ok_and(|output| output.status.success())
        });
        let program = program.expect("Chromium is there: `cargo xtask test` installs it");
        let folder = tempfile::tempdir().expect("a folder");
        let [to, from] = ["to", "from"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args([&to, &from]).status();
        assert!(made.expect("mkfifo is there").success());
        // The protocol's pipes are file descriptors 3 and 4; no name is resolved to any address.
        let line = r#"exec "$0" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
            --disable-background-networking --host-resolver-rules='MAP * ~NOTFOUND' \
            --user-data-dir="$1/profile" --remote-debugging-pipe about:blank 3<"$1/to" 4>"$1/from""#;
        let child = Command::new("sh")
            .args(["-c", line, program])
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let to = OpenOptions::new().write(true).open(to).expect("it reads");
        let from = File::open(from).expect("it writes");
        let mut browser = Self {
            child,
            to,
            from: BufReader::new(from),
            session: None,
            next: 0,
            seen: Vec::new(),
            _folder: folder,
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Network", "Runtime", "Log", "Page"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Asks, and gives the answer; what comes in between is kept.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        write!(self.to, "{message}\0").expect("the browser listens");
        loop {
            let answer = self.read();
            if answer["id"] == self.next {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.seen.push(answer);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from
            .read_until(0, &mut bytes)
            .expect("the browser answers");
        bytes.pop();
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Opens a file, and waits until it is there.
    fn open(&mut self, path: &Path) {
        self.seen.clear();
        self.ask(
            "Page.navigate",
            json!({"url": format!("file://{}", path.display())}),
        );
        while !self
            .seen
            .iter()
            .any(|it| it["method"] == "Page.loadEventFired")
        {
            let event = self.read();
            self.seen.push(event);
        }
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "returnByValue": true});
        self.ask("Runtime.evaluate", asked)["result"]["value"].clone()
    }

    fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.ask("Input.dispatchKeyEvent", json!({"type": kind, "key": key}));
        }
    }

    /// The steps that are to be seen.
    fn shown(&mut self) -> Value {
        self.evaluate(
            "[...document.querySelectorAll('.step')].filter(it => it.offsetParent !== null).map(it => it.id).join()",
        )
    }

    /// What was asked of anybody but the disk, and what the browser complained of.
    fn complaints(&mut self) -> Vec<String> {
        // What is on its way has come when this is answered.
        self.evaluate("new Promise(done => setTimeout(done, 50))");
        let complaint = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str()?;
                    let is_local = url.starts_with("file:") || url.starts_with("data:");
                    (!is_local).then(|| format!("asks for {url}"))
                }
                "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded" => {
                    Some(params.to_string())
                }
                _ => None,
            }
        };
        self.seen.iter().filter_map(complaint).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn page_of(name: &str, folder: &Path) -> std::path::PathBuf {
    let history = History::from_text(lecture(name).expect("it is ours").text).expect("it opens");
    let path = folder.join(format!("{name}.html"));
    fs::write(&path, lecture_html(&history, name)).expect("it is written");
    path
}

#[test]
fn a_lecture_steps_asks_for_nothing_and_complains_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = page_of("self-map", folder.path());
    let mut browser = Browser::start();
    browser.open(&page);
    assert_eq!(browser.shown(), "step-1");
    for (key, shown) in [
        ("ArrowRight", "step-2"),
        (" ", "step-3"),
        ("PageDown", "step-4"),
        ("ArrowLeft", "step-3"),
        ("End", "step-8"),
        ("ArrowRight", "step-8"),
        ("PageUp", "step-7"),
        ("Home", "step-1"),
        ("ArrowLeft", "step-1"),
    ] {
        browser.press(key);
        assert_eq!(browser.shown(), shown, "{key}");
    }
    browser.evaluate("document.getElementById('on').click()");
    assert_eq!(
        browser.evaluate("document.getElementById('place').textContent"),
        "2 of 8"
    );
    // The picture is there, and has colours of its own.
    let size =
        browser.evaluate("document.querySelector('.shown use').getBoundingClientRect().width");
    assert!(size.as_f64().is_some_and(|width| width > 100.0), "{size}");
    let colour = "getComputedStyle(document.querySelector('#picture-1 rect')).fill";
    assert_eq!(browser.evaluate(colour), "rgb(251, 250, 247)");
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.ask("Emulation.setEmulatedMedia", dark);
    assert_eq!(browser.evaluate(colour), "rgb(14, 19, 24)");
    browser.press("a");
    assert_eq!(
        browser.shown().as_str().map(|all| all.split(',').count()),
        Some(8)
    );
    let asked = browser
        .seen
        .iter()
        .filter(|it| it["method"] == "Network.requestWillBeSent");
    assert!(asked.count() >= 1, "the page itself is seen");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // Without scripts, everything stands below each other.
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    browser.open(&page);
    assert_eq!(
        browser.shown().as_str().map(|all| all.split(',').count()),
        Some(8)
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.ask(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": false}),
    );
    // Whoever watches sees what a page does that asks for something.
    let other = folder.path().join("other.html");
    fs::write(
        &other,
        "<img src='http://pagescope.invalid/x.png'><script>console.error(1)</script>",
    )
    .expect("it is written");
    browser.open(&other);
    let complaints = browser.complaints().join("\n");
    assert!(
        complaints.contains("asks for http://pagescope.invalid/x.png"),
        "{complaints}"
    );
    assert!(complaints.contains("\"error\""), "{complaints}");
}
