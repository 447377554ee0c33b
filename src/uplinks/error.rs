//! Why a device does not publish.

use crate::cameras::CameraError;
use crate::sfu::SfuError;

/// Why a device does not publish.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// Its capture takes nothing.
    #[error(transparent)]
    Capture(#[from] CameraError),
    /// The media plane does not take it.
    #[error(transparent)]
    Media(#[from] SfuError),
    /// There is no such resource.
    #[error("no such resource")]
    NotFound,
}
