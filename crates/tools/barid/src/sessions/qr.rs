//! QR codes in half blocks: two modules in one character.

use anyhow::{Context, Result};
use qrcode::{Color, EcLevel, QrCode};

/// Modules of white around the code. The standard asks for 4; phones are content with 2, and terminals are small.
const MARGIN: isize = 2;

/// Black on white whatever the terminal's colours are.
const INK: &str = "\x1b[38;5;16;48;5;231m";

/// The code as lines. With `colours` it is black on white; without, it is right on a dark background.
pub(super) fn draw(text: &str, colours: bool) -> Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).context("the code does not fit into a QR code")?;
    let width = isize::try_from(code.width())?;
    let modules = code.to_colors();
    let dark = |row: isize, column: isize| {
        let inside = (0..width).contains(&row) && (0..width).contains(&column);
        inside && usize::try_from(row * width + column).is_ok_and(|at| modules.get(at) == Some(&Color::Dark))
    };
    let lines = (-MARGIN..width + MARGIN).step_by(2).map(|row| {
        let line: String = (-MARGIN..width + MARGIN)
            .map(|column| match (dark(row, column) == colours, dark(row + 1, column) == colours) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        if colours { format!("{INK}{line}\x1b[0m") } else { line }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As long as what WhatsApp shows.
    const CODE: &str = "https://wa.me/settings/linked_devices#2@4k7hQmL1v0p9c8b7n6m5,aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=,\
                        aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=,aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=";

    /// What a phone reads off the characters; `lit` is what a block shines as.
    fn scanned(drawn: &str, lit: u8) -> String {
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.replace(INK, "").replace("\x1b[0m", "").chars().collect()).collect();
        let side = 4;
        let shade = |x: usize, y: usize| {
            let (row, column) = (y / side, x / side);
            let block = rows[row / 2][column];
            let filled = match row % 2 {
                0 => matches!(block, '█' | '▀'),
                _ => matches!(block, '█' | '▄'),
            };
            if filled { lit } else { 255 - lit }
        };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(rows[0].len() * side, rows.len() * 2 * side, shade);
        let grids = image.detect_grids();
        grids.first().expect("a code").decode().expect("it can be read").1
    }

    #[test]
    fn a_phone_reads_it_on_any_background() {
        assert_eq!(scanned(&draw(CODE, true).expect("fits"), 0), CODE);
        assert_eq!(scanned(&draw(CODE, false).expect("fits"), 255), CODE);
    }

    #[test]
    fn it_fits_a_window_of_usual_size() {
        let drawn = draw(CODE, false).expect("fits");
        let (rows, columns) = (drawn.lines().count(), drawn.lines().next().expect("a line").chars().count());
        assert!(rows <= 33 && columns <= 66, "{rows} x {columns}");
        assert!(draw(&"x".repeat(5000), true).is_err());
    }
}
