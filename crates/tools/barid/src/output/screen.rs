//! What a command shows in place of what it showed before.

use std::io::{IsTerminal, Write};

use anyhow::Result;

/// Standard output, where the last thing drawn can be drawn over.
pub(crate) struct Screen {
    terminal: bool,
    /// Rows of what was drawn last.
    rows: usize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), rows: 0 }
    }

    /// Whether a person looks at it, so that it can be drawn over.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Rows and columns, when it is a terminal that knows them.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row.into(), size.ws_col.into()))
    }

    /// Takes away what was drawn last.
    pub(crate) fn erase(&mut self) -> Result<()> {
        if self.terminal && self.rows > 0 {
            let mut out = std::io::stdout().lock();
            write!(out, "\x1b[{}F\x1b[J", self.rows)?;
            out.flush()?;
        }
        self.rows = 0;
        Ok(())
    }

    /// Leaves what was drawn where it is.
    pub(crate) fn keep(&mut self) {
        self.rows = 0;
    }

    /// Shows `text` in the place of what was drawn before; below it where nothing can be drawn over.
    pub(crate) fn draw(&mut self, text: &str) -> Result<()> {
        self.erase()?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
        let columns = self.size().map_or(usize::MAX, |(_, columns)| columns);
        self.rows = text.split('\n').map(|line| width(line).div_ceil(columns).max(1)).sum();
        Ok(())
    }
}

/// Columns that a line takes; its colours take none.
pub(crate) fn width(line: &str) -> usize {
    let mut columns = 0;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            columns += 1;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(width("\x1b[38;5;16;48;5;231m▀▄ █\x1b[0m"), 4);
    }
}
