//! Ctrl-C and the like: the command ends, and the guest is left as it was found. A command that holds no guest ends at
//! once: it may compute for long, and has nothing to give back.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::link::Cancel;

static CANCEL: OnceLock<Cancel> = OnceLock::new();
static WINDOW: OnceLock<egui::Context> = OnceLock::new();
static HOLDS_GUEST: AtomicBool = AtomicBool::new(false);

/// From now on a guest has to be left as it was found, or no longer.
pub(super) fn holds_guest(holds: bool) {
    HOLDS_GUEST.store(holds, Ordering::SeqCst);
}

/// The flag that a signal sets; every wait of a command looks at it.
pub(super) fn cancel() -> Cancel {
    CANCEL.get_or_init(Cancel::new).clone()
}

/// A signal from now on closes this window, which is how it leaves its guest.
pub(super) fn closes(window: &egui::Context) {
    // There is one window a process.
    let _ = WINDOW.set(window.clone());
}

/// Catches SIGINT, SIGTERM and SIGHUP. The second one ends the program at once, and so does the first where no guest
/// is held and no window is open.
pub(super) fn install() -> Result<(), ctrlc::Error> {
    let cancel = cancel();
    ctrlc::set_handler(move || {
        let has_to_leave = HOLDS_GUEST.load(Ordering::SeqCst) || WINDOW.get().is_some();
        if cancel.is_cancelled() || !has_to_leave {
            std::process::exit(130);
        }
        cancel.cancel();
        if let Some(window) = WINDOW.get() {
            window.send_viewport_cmd(egui::ViewportCommand::Close);
            window.request_repaint();
        }
    })
}
