//! What must hold of every file that is opened as a shared one, however damaged:
//! called with random ones by the tests below, and by the fuzz target.

use std::fs;
use std::path::Path;

use twox_hash::XxHash3_64;

use super::element::{Element, Spec};
use super::header::{HEADER_BYTES, Header, seal};
use super::{Shared, Verify};
use crate::error::Error;

/// Where the fields of a header end; zeros follow that no reader looks at.
const FIELDS_END: usize = 176;

/// A file made of `data`: taken as it stands, or as edits of a sound file. It is
/// opened if it is what the writer would have written, and else refused with its
/// path; it stays at `path`, where an earlier one is replaced.
pub(crate) fn file(path: &Path, data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let mut bytes = if mode & 1 == 0 { data.to_vec() } else { edited(data) };
    // What does not bear a right checksum is refused before it is looked at.
    if mode & 2 != 0
        && let Some(header) = bytes.first_chunk_mut()
    {
        seal(header);
    }
    plant(path, &bytes);
    opens::<u64>(path, &bytes);
    opens::<u8>(path, &bytes);
    opens::<[u16; 3]>(path, &bytes);
}

/// A sound file after edits, each of four bytes: where (two), what, with which.
fn edited(edits: &[u8]) -> Vec<u8> {
    let payload: Vec<u8> = (0..48).collect();
    let header = Header { count: 6, checksum: XxHash3_64::oneshot(&payload) };
    let mut bytes = [&header.encode(&Spec::of::<u64>())[..], &payload].concat();
    for edit in edits.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        match (edit[2] % 4, at < bytes.len()) {
            (0, true) => bytes[at] ^= edit[3],
            (1, true) => bytes.truncate(at),
            (2, _) => bytes.extend(std::iter::repeat_n(edit[3], at % 16)),
            (_, true) => bytes[at] = edit[3],
            _ => {}
        }
    }
    bytes
}

/// Whether a file of elements `T` is just these bytes, but for what no reader
/// looks at; and whether its payload is whole.
fn is_sound<T: Element>(bytes: &[u8]) -> (bool, bool) {
    let Some((head, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return (false, false);
    };
    let checksum = XxHash3_64::oneshot(payload);
    let count = payload.len() / size_of::<T>();
    let mut written = Header { count: count as u64, checksum }.encode(&Spec::of::<T>());
    let whole = written[40..48] == head[40..48];
    written[40..48].copy_from_slice(&head[40..48]);
    written[FIELDS_END..HEADER_BYTES - 8].copy_from_slice(&head[FIELDS_END..HEADER_BYTES - 8]);
    seal(&mut written);
    (written == *head && payload.len().is_multiple_of(size_of::<T>()), whole)
}

fn opens<T: Element + PartialEq + std::fmt::Debug>(path: &Path, bytes: &[u8]) {
    let (sound, whole) = is_sound::<T>(bytes);
    let check = |opened: Result<Shared<[T]>, Error>, expected: bool| match opened {
        Ok(opened) => {
            assert!(expected, "opened as {}: {:?}", T::NAME, &bytes[..bytes.len().min(200)]);
            let payload = &bytes[HEADER_BYTES..];
            assert_eq!(opened.len(), payload.len() / size_of::<T>(), "the declared length");
            assert_eq!(bytemuck::cast_slice::<T, u8>(&opened), payload);
            String::new()
        }
        Err(error) => {
            assert!(!expected, "{error}");
            let Error::SharedFormat { path: named, .. } = &error else { panic!("{error}") };
            assert_eq!(named, path);
            let told = error.to_string();
            assert!(told.contains(&*path.to_string_lossy()), "{told}");
            told
        }
    };
    let mapped = check(Shared::open(path), sound && whole);
    let loaded = check(Shared::load(path), sound && whole);
    assert_eq!(mapped, loaded, "one file, one problem");
    check(Shared::open_with(path, Verify::Header), sound);
}

/// A read-only file, as shared ones are.
fn plant(path: &Path, bytes: &[u8]) {
    // Not there is as good.
    drop(fs::remove_file(path));
    fs::write(path, bytes).expect("the directory can be written to");
    let mut permissions = fs::metadata(path).expect("it was written").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).expect("it is ours");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seeds_hold() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/file");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let seeds = fs::read_dir(folder).expect("there are seeds");
        let held = seeds.map(|seed| {
            let seed = fs::read(seed.expect("a seed").path()).expect("a seed is a file");
            file(&directory.path().join("a.plim"), &seed);
        });
        assert!(held.count() >= 3);
    }

    /// The oracle itself: it takes what the writer wrote.
    #[test]
    fn a_file_of_the_writer_is_sound() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a.plim");
        Shared::<[u64]>::write(&path, &[1, 2, 3]).expect("it can be written");
        let bytes = fs::read(&path).expect("it can be read");
        assert_eq!(is_sound::<u64>(&bytes), (true, true));
        assert!(!is_sound::<u8>(&bytes).0 && !is_sound::<u64>(&bytes[1..]).0);
        assert_eq!(edited(&[]).len(), HEADER_BYTES + 48);
        assert_eq!(is_sound::<u64>(&edited(&[])), (true, true));
        let last = (HEADER_BYTES + 47).to_le_bytes();
        assert_eq!(is_sound::<u64>(&edited(&[last[0], last[1], 0, 1])), (true, false));
    }

    /// An edit of a field, of anything, or of the payload and the end.
    fn edit() -> impl Strategy<Value = Vec<u8>> {
        let at = prop_oneof![0..200_u16, any::<u16>(), 4080..4160_u16];
        let edit = (at, any::<u8>(), prop_oneof![Just(0), Just(1), any::<u8>()]);
        edit.prop_map(|(at, what, with)| [&at.to_le_bytes()[..], &[what, with]].concat())
    }

    proptest! {
        #[test]
        fn every_damage_is_refused_with_the_path(
            mode in prop_oneof![Just(1_u8), Just(3_u8)],
            edits in prop::collection::vec(edit(), 0..4),
        ) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            file(&directory.path().join("a.plim"), &[vec![mode], edits.concat()].concat());
        }

        #[test]
        fn every_other_file_is_refused_with_the_path(data in prop::collection::vec(any::<u8>(), 0..64)) {
            let directory = tempfile::tempdir().expect("a temporary directory");
            file(&directory.path().join("a.plim"), &[vec![0], data].concat());
        }
    }
}
