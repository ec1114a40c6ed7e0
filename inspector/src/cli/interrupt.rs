//! Ctrl-C and the like: the command ends, and the guest is left as it was found.

use std::sync::OnceLock;

use crate::link::Cancel;

static CANCEL: OnceLock<Cancel> = OnceLock::new();
static WINDOW: OnceLock<egui::Context> = OnceLock::new();

/// The flag that a signal sets; every wait of a command looks at it.
pub(super) fn cancel() -> Cancel {
    CANCEL.get_or_init(Cancel::new).clone()
}

/// A signal from now on closes this window, which is how it leaves its guest.
pub(super) fn closes(window: &egui::Context) {
    // There is one window a process.
    let _ = WINDOW.set(window.clone());
}

/// Catches SIGINT, SIGTERM and SIGHUP. A second one ends the program at once.
pub(super) fn install() -> Result<(), ctrlc::Error> {
    let cancel = cancel();
    ctrlc::set_handler(move || {
        if cancel.is_cancelled() {
            std::process::exit(130);
        }
        cancel.cancel();
        if let Some(window) = WINDOW.get() {
            window.send_viewport_cmd(egui::ViewportCommand::Close);
            window.request_repaint();
        }
    })
}
