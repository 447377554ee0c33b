//! Parses paths of C2SP tlog-tiles strictly: each tile has exactly one path.

/// Hashes or entries in a full tile.
pub(super) const WIDTH: u64 = 256;
/// Highest level: 8 levels of 8 bits can address every leaf index of 64 bits.
const LEVEL_MAX: u8 = 7;

/// A tile, identified by the part of its path after `tile/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePath {
    /// Level of a tile of hashes; `None` for a tile of entries.
    pub level: Option<u8>,
    /// Number of the tile in its level, from 0.
    pub index: u64,
    /// Number of hashes or entries in it, 1 to 256.
    pub width: u16,
}

impl TilePath {
    /// Parses `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`; `None` for anything else.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let level = match level {
            "entries" => None,
            digits => Some(u8::try_from(number(digits)?).ok().filter(|it| *it <= LEVEL_MAX)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, 256),
            Some((index, width)) => {
                let width = u16::try_from(number(width)?).ok()?;
                (index, Some(width).filter(|it| (1..256).contains(it))?)
            }
        };
        Some(Self { level, index: tile_index(index)?, width })
    }
}

/// Parses groups of three digits, of which all but the last begin with `x`: `x001/x234/067`.
fn tile_index(path: &str) -> Option<u64> {
    let mut index = 0_u64;
    let mut groups = path.split('/').peekable();
    let mut is_first = true;
    while let Some(group) = groups.next() {
        let is_last = groups.peek().is_none();
        let digits = if is_last { group } else { group.strip_prefix('x')? };
        let fits = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value: u64 = fits.then(|| digits.parse().ok()).flatten()?;
        if is_first && !is_last && value == 0 {
            return None;
        }
        is_first = false;
        index = index.checked_mul(1_000)?.checked_add(value)?;
    }
    Some(index)
}

/// Parses a decimal number in its canonical form.
fn number(digits: &str) -> Option<u64> {
    let one_form = digits == "0" || !digits.starts_with('0');
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (one_form && all_digits).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_named_as_the_specification_names_them() {
        let tile = |level, index, width| Some(TilePath { level, index, width });
        assert_eq!(TilePath::parse("0/000"), tile(Some(0), 0, 256));
        assert_eq!(TilePath::parse("0/x001/x234/067"), tile(Some(0), 1_234_067, 256));
        assert_eq!(TilePath::parse("1/x001/000.p/70"), tile(Some(1), 1_000, 70));
        assert_eq!(TilePath::parse("entries/001.p/255"), tile(None, 1, 255));
    }

    #[test]
    fn a_tile_has_no_second_name() {
        let wrong = [
            "",
            "0",
            "0/",
            "0/0",
            "0/00",
            "0/0000",
            "0/x000/001",
            "0/x001",
            "0/001/002",
            "0/x01/002",
            "00/000",
            "8/000",
            "-1/000",
            "+1/000",
            "0/+01",
            "a/000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/000.p",
            "0/000/",
            "0/000.p/1/",
            "0/000.p/1.p/1",
            "entries/",
            "data/000",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
        ];
        for path in wrong {
            assert_eq!(TilePath::parse(path), None, "{path:?}");
        }
    }
}
