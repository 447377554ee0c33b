//! QR codes as shapes.

use fast_qr::{ECL, QRBuilder};
use krilla::geom::{Path, PathBuilder, Rect};

use crate::documents::DocumentError;

/// Modules of free space around a code (ISO/IEC 18004 §6.3.8).
const QUIET: f32 = 4.0;

/// The dark modules of a QR code, each one unit wide, and how wide the code is with its free space.
pub(super) fn code(text: &str) -> Result<(Path, f32), DocumentError> {
    let invalid = |why: String| DocumentError::Invalid(format!("a QR code: {why}"));
    let code = QRBuilder::new(text).ecl(ECL::M).build();
    let code = code.map_err(|error| invalid(error.to_string()))?;
    let mut shape = PathBuilder::new();
    let mut top = QUIET;
    for row in 0..code.size {
        let mut left = QUIET;
        for module in &code[row][..code.size] {
            if module.value()
                && let Some(square) = Rect::from_xywh(left, top, 1.0, 1.0)
            {
                shape.push_rect(square);
            }
            left += 1.0;
        }
        top += 1.0;
    }
    let shape = shape.finish().ok_or_else(|| invalid("it has no modules".to_owned()))?;
    Ok((shape, top + QUIET))
}
