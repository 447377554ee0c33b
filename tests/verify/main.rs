//! The verifier against bundles that are true, and against every lie that the
//! record must not survive. The bundles are made by `forge`, which knows nothing
//! of the writer either.

mod forge;
mod genuine;
