//! The console's prompt: a line is typed, and then it is done.

use crate::line::{Line, Typed};
use crate::program::console;
use crate::{print, println};

/// The line being typed.
#[derive(Debug)]
pub struct Prompt {
    line: Line,
}

impl Prompt {
    /// Nothing typed yet; shows that a line can be.
    pub fn show() -> Self {
        print!("> ");
        Self { line: Line::new() }
    }

    /// Takes what has been typed since the last time, and has every whole line done.
    pub fn poll(&mut self, mut run: impl FnMut(&str)) {
        while let Some(byte) = console::read() {
            match self.line.push(byte) {
                Typed::Echo(byte) => print!("{}", char::from(byte)),
                Typed::Rub => print!("\x08 \x08"),
                Typed::Nothing => {}
                Typed::Complete => {
                    println!();
                    run(self.line.text());
                    self.line.clear();
                    print!("> ");
                }
            }
        }
    }
}
