//! The verifier against bundles that are true, and against every lie that the
//! record must not survive. The bundles are made by `forge`, which knows nothing
//! of the writer either.

mod absent;
mod attacks;
mod attendance;
mod bits;
mod export;
mod forge;
mod genuine;
mod histories;
mod keys;
mod signatures;
