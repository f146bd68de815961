//! Reading the code off a picture of a screen.

use std::io::Cursor;

use png::{ColorType, Transformations};

/// A picture has no more pixels than a large screen.
const MOST: u64 = 64 << 20;

/// The text of the first QR code in a PNG picture.
///
/// # Errors
/// A sentence for the caller when it is no picture, or there is no code on it.
pub(crate) fn read(png: &[u8]) -> Result<String, String> {
    let mut decoder = png::Decoder::new(Cursor::new(png));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| format!("this is no PNG picture: {error}"))?;
    let size = reader.output_buffer_size().filter(|size| (*size as u64) <= MOST).ok_or("the picture is too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|error| format!("the picture is broken: {error}"))?;
    let channels = match frame.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        _ => 4,
    };
    let grey = |x: usize, y: usize| {
        let pixel = &pixels[y * frame.line_size + x * channels..][..channels];
        let (colours, alpha) = if channels % 2 == 0 { (&pixel[..channels - 1], pixel[channels - 1]) } else { (pixel, 255) };
        let sum: u32 = colours.iter().map(|colour| u32::from(*colour)).sum();
        let level = sum / colours.len() as u32;
        // What is transparent shows the white page below.
        ((level * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255) as u8
    };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(frame.width as usize, frame.height as usize, grey);
    let found = image.detect_grids().into_iter().find_map(|grid| grid.decode().ok());
    found.map(|(_, text)| text).ok_or_else(|| "there is no QR code on the picture".into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_picture_says_so() {
        assert!(super::read(b"not a picture").unwrap_err().contains("PNG"));
    }
}
