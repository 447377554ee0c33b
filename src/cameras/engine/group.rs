//! The last group of pictures of a camera: from its newest key picture on, so that who
//! comes later sees something at once. Most cameras ignore requests for a key picture.

use std::sync::Arc;

use crate::cameras::engine::pictures::Picture;

/// Largest group that is kept, in bytes. A larger one is given up until the next key
/// picture. Raising it uses more memory for each camera that is called.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most pictures of a group that are kept, as above.
pub const GROUP_PICTURES_MAX: usize = 600;

/// The pictures since the newest key picture, that one first.
#[derive(Debug, Default)]
pub struct Group {
    pictures: Vec<Arc<Picture>>,
    bytes: usize,
}

impl Group {
    /// Takes the next picture.
    pub fn handle(&mut self, picture: &Arc<Picture>) {
        if picture.key {
            self.handle_break();
        } else if self.pictures.is_empty() {
            return;
        }
        self.bytes += picture.data.len();
        self.pictures.push(picture.clone());
        if self.bytes > GROUP_BYTES_MAX || self.pictures.len() > GROUP_PICTURES_MAX {
            self.handle_break();
        }
    }

    /// What comes next does not go on where this ended.
    pub fn handle_break(&mut self) {
        self.pictures.clear();
        self.bytes = 0;
    }

    /// The pictures, the key picture first; none when there is no whole group.
    #[must_use]
    pub fn pictures(&self) -> &[Arc<Picture>] {
        &self.pictures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::timeline::Moment;

    fn picture(key: bool, bytes: usize) -> Arc<Picture> {
        let moment = Moment { decode: 0, show: 0 };
        Arc::new(Picture { moment, key, data: vec![0; bytes], setup: None })
    }

    #[test]
    fn a_group_begins_with_a_key_picture_and_is_bounded() {
        let mut group = Group::default();
        group.handle(&picture(false, 10));
        assert!(group.pictures().is_empty(), "nothing to begin with");
        group.handle(&picture(true, 10));
        group.handle(&picture(false, 10));
        assert_eq!(group.pictures().len(), 2);
        group.handle(&picture(true, 10));
        assert_eq!(group.pictures().len(), 1);
        group.handle(&picture(false, GROUP_BYTES_MAX));
        assert!(group.pictures().is_empty(), "a part of a group is of no use");
        group.handle(&picture(false, 10));
        assert!(group.pictures().is_empty());
        group.handle(&picture(true, 10));
        for _ in 0..GROUP_PICTURES_MAX {
            group.handle(&picture(false, 1));
        }
        assert!(group.pictures().is_empty());
        assert_eq!(group.bytes, 0);
    }
}
