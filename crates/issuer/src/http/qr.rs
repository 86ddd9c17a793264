//! QR codes: a link as PNG in a data URI, and as text for terminals.
//!
//! Error correction M, four modules of quiet zone (ISO/IEC 18004), eight pixels per module.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcode::{Color, EcLevel, QrCode};

/// Modules of white around the code.
const QUIET: usize = 4;

/// Pixels per module and side.
const SCALE: usize = 8;

/// A link cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// Too long for any QR code.
    #[error("the link does not fit into a QR code")]
    Code(#[from] qrcode::types::QrError),
    /// The picture cannot be written.
    #[error("the QR code cannot be written as PNG")]
    Png(#[from] png::EncodingError),
}

/// `data:image/png;base64,…`: black on white, one bit per pixel.
pub fn png_data_uri(text: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let width = code.width();
    let side = (width + 2 * QUIET) * SCALE;
    let row_bytes = side.div_ceil(8);
    let white = vec![0xff_u8; row_bytes];
    let mut pixels = Vec::with_capacity(row_bytes * side);
    let mut repeat = |row: &[u8], times: usize| (0..times).for_each(|_| pixels.extend_from_slice(row));
    repeat(&white, QUIET * SCALE);
    for modules in code.to_colors().chunks(width) {
        let mut row = white.clone();
        for (x, _) in modules.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
            // Eight pixels per module and a quiet zone of whole modules: a module is exactly one byte.
            if let Some(byte) = row.get_mut(x + QUIET) {
                *byte = 0;
            }
        }
        repeat(&row, SCALE);
    }
    repeat(&white, QUIET * SCALE);
    let side = u32::try_from(side).unwrap_or(u32::MAX);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_square_png() {
        let uri = png_data_uri("openid-vc://?request_uri=https://localhost:8443/x").unwrap();
        let bytes = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.width, info.height);
        // The quiet zone is white, the finder pattern begins right after it.
        let row = pixels.len() / usize::try_from(info.height).unwrap();
        assert!(pixels[..row * QUIET * SCALE].iter().all(|byte| *byte == 0xff));
        assert_eq!(pixels[row * QUIET * SCALE + QUIET], 0);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(png_data_uri(&"x".repeat(5000)).is_err());
    }
}
