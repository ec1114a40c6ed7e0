//! A window that is driven without a display, and what its frames cost.

use std::fmt;
use std::time::Duration;

use egui::{
    Context, Event, Modifiers, MouseWheelUnit, PointerButton, Pos2, RawInput, Rect, Vec2,
    ViewportId, vec2,
};
use pagescope::app::App;
use pagescope::views::UiCommand;
use rustix::time::{ClockId, clock_gettime};

/// The window's size, in points.
pub(crate) const SIZE: Vec2 = vec2(1440.0, 900.0);

/// A window.
pub(crate) struct Window {
    ctx: Context,
    app: App,
    seconds: f64,
    frames: Vec<Duration>,
}

impl Window {
    /// A window on `app`, drawn until it stands still.
    pub(crate) fn new(app: App) -> Self {
        let mut window = Self {
            ctx: Context::default(),
            app,
            seconds: 0.0,
            frames: Vec::new(),
        };
        window.app.install(&window.ctx);
        window.settle();
        // A large space is worked out by another thread, which wakes the window.
        for _ in 0..500 {
            std::thread::sleep(Duration::from_millis(10));
            if window.ctx.has_requested_repaint() {
                break;
            }
        }
        window.settle();
        window.frames.clear();
        window
    }

    /// Asks the window's program for `command`, as a view would.
    pub(crate) fn queue(&mut self, command: UiCommand) {
        self.app.queue(command);
        self.settle();
        self.frames.clear();
    }

    /// Draws a frame with `events`; how long the window may sleep after it.
    pub(crate) fn frame(&mut self, events: Vec<Event>) -> Duration {
        self.seconds += 1.0 / 60.0;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, SIZE)),
            time: Some(self.seconds),
            events,
            focused: true,
            ..RawInput::default()
        };
        let before = used();
        let app = &mut self.app;
        let mut output = self.ctx.run_ui(input, |ui| app.frame(ui));
        let shapes = std::mem::take(&mut output.shapes);
        let primitives = self.ctx.tessellate(shapes, output.pixels_per_point);
        std::hint::black_box(primitives);
        self.frames.push(used().saturating_sub(before));
        // No graphics card has these.
        output.textures_delta.clear();
        let root = output.viewport_output.get(&ViewportId::ROOT);
        root.map_or(Duration::MAX, |root| root.repaint_delay)
    }

    /// Draws until no frame is asked for; whether that comes to an end.
    pub(crate) fn settle(&mut self) -> bool {
        // What another thread works on wakes a real window; here it is waited for.
        for _ in 0..400 {
            if self.frame(Vec::new()) == Duration::MAX {
                std::thread::sleep(Duration::from_millis(15));
                if !self.ctx.has_requested_repaint() {
                    return true;
                }
            }
        }
        false
    }

    /// What the frames since the last call of this cost.
    pub(crate) fn cost(&mut self, name: &str, median_ms: f64, p99_ms: f64) -> Cost {
        let mut frames = std::mem::take(&mut self.frames);
        frames.sort_unstable();
        let at = |part: f64| {
            let place = (frames.len().saturating_sub(1) as f64 * part).round() as usize;
            frames
                .get(place)
                .map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Cost {
            name: name.to_owned(),
            frames: frames.len(),
            measured: [at(0.5), at(0.99)],
            limits: [median_ms, p99_ms],
        }
    }
}

/// The processor's time that this thread has used.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// What a scenario's frames cost, in milliseconds: median and 99th percentile.
pub(crate) struct Cost {
    name: String,
    frames: usize,
    measured: [f64; 2],
    limits: [f64; 2],
}

impl Cost {
    /// A question with yes or no for an answer.
    pub(crate) fn truth(name: &str, is_so: bool) -> Self {
        Self {
            name: format!("{name}: {}", if is_so { "yes" } else { "NO" }),
            frames: 0,
            measured: [if is_so { 0.0 } else { 1.0 }; 2],
            limits: [0.0; 2],
        }
    }

    /// Whether it is as little as it is meant to be.
    pub(crate) fn is_met(&self) -> bool {
        self.measured
            .iter()
            .zip(self.limits)
            .all(|(measured, limit)| *measured <= limit)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frames == 0 {
            return f.write_str(&self.name);
        }
        let [median, p99] = self.measured;
        let [median_limit, p99_limit] = self.limits;
        let verdict = if self.is_met() { "" } else { "  TOO SLOW" };
        write!(
            f,
            "{:44} {:8} {median:8.2} {p99:8.2}  {median_limit} / {p99_limit}{verdict}",
            self.name, self.frames
        )
    }
}

/// The wheel turned by `lines`.
pub(crate) fn wheel(lines: f32) -> Event {
    Event::MouseWheel {
        unit: MouseWheelUnit::Line,
        delta: vec2(0.0, lines),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
        modifiers: Modifiers::NONE,
    }
}

/// The main button pressed or let go at `pos`.
pub(crate) fn button(pos: Pos2, pressed: bool) -> Event {
    Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    }
}
