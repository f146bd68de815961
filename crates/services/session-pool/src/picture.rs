//! A code to scan, as a picture. Pure.

use qrcode::{Color, EcLevel, QrCode};

#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    #[error("the code does not fit into a picture: {0}")]
    Code(#[from] qrcode::types::QrError),
    #[error("the picture cannot be written: {0}")]
    Png(#[from] png::EncodingError),
}

/// White around the code that scanners need, in modules.
const QUIET: usize = 4;

/// A PNG of at most `size` pixels a side, and at least one pixel for a module.
pub(crate) fn png(text: &str, size: u32) -> Result<Vec<u8>, PictureError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let (width, colors) = (code.width(), code.to_colors());
    let modules = width + 2 * QUIET;
    let scale = (size as usize / modules).max(1);
    let side = modules * scale;
    let dark = |x: usize, y: usize| {
        let (x, y) = ((x / scale).wrapping_sub(QUIET), (y / scale).wrapping_sub(QUIET));
        x < width && y < width && colors[y * width + x] == Color::Dark
    };
    let pixels: Vec<u8> = (0..side * side).map(|at| if dark(at % side, at / side) { 0 } else { 255 }).collect();
    let mut bytes = Vec::new();
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_modules_of_the_code_and_white_around_them() {
        let text = "2@abcdefghijklmnopqrstuvwxyz,ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=,more,and,more";
        let bytes = png(text, 300).expect("a picture");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a frame");
        let code = QrCode::with_error_correction_level(text, EcLevel::L).expect("a code");
        let scale = info.width as usize / (code.width() + 8);
        assert!(info.width <= 300 && info.width > 150 && info.width == info.height);
        let pixel = |x: usize, y: usize| pixels[y * scale * info.width as usize + x * scale];
        assert_eq!(pixel(0, 0), 255);
        for y in 0..code.width() {
            for x in 0..code.width() {
                assert_eq!(pixel(x + QUIET, y + QUIET) == 0, code[(x, y)] == Color::Dark, "module {x}, {y}");
            }
        }
    }
}
