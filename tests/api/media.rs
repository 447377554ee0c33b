//! WHIP and WHEP.
