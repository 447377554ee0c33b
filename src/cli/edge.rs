//! `cabildo edge`: the agent of the crate `cabildo-edge`, which small boxes have as a program of its
//! own.

use cabildo_edge::{EdgeArgs, EdgeError};

use super::{Failure, output};

pub(super) fn run(arguments: EdgeArgs) -> Result<(), Failure> {
    cabildo_edge::start_logs();
    match cabildo_edge::run(arguments) {
        Ok(text) => {
            output::print(&text);
            Ok(())
        }
        Err(EdgeError::Refused(text) | EdgeError::Incomplete(text)) => Err(Failure::False(text)),
        Err(EdgeError::Usage(text)) => Err(Failure::Usage(text)),
        Err(EdgeError::Missing(text)) => Err(Failure::Missing(anyhow::anyhow!(text))),
    }
}
