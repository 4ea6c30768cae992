//! What can be taken from a file, and how its arrays become one.

use std::sync::Arc;

use super::Shared;
use super::element::{Element, Spec};
use super::file::SharedFile;
use super::pages::View;
use super::table::{Entry, Kind};
use crate::error::FormatProblem;

/// What a section can be taken as, by [`SharedFile::get`]: a [`Shared`] slice, a list
/// of bytes or texts, a map.
///
/// The trait is sealed: later releases may add kinds of data, other crates cannot.
#[diagnostic::on_unimplemented(
    message = "no section of a shared file is taken as `{Self}`",
    label = "neither a `Shared<[T]>` of elements, a `SharedStrs`, a `SharedBytes` nor a `SharedMap<K, V>`"
)]
pub trait Section: sealed::Take {}

#[diagnostic::do_not_recommend]
impl<S: sealed::Take> Section for S {}

pub(super) mod sealed {
    use super::{FormatProblem, Kind, Parts};

    /// How a section is put together of its arrays.
    pub trait Take: Sized {
        /// The kind that files record.
        #[allow(private_interfaces, reason = "the trait is sealed")]
        const KIND: Kind;

        /// Puts it together, in a time that does not depend on its size, unless safety does.
        #[allow(private_interfaces, reason = "the trait is sealed")]
        fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem>;

        /// Whether the data is what its kind promises: all of it is read, by the first who
        /// takes it from the file ([`Parts::once`]).
        #[allow(private_interfaces, reason = "the trait is sealed")]
        fn verify(&mut self, parts: &Parts<'_>) -> Result<(), FormatProblem>;
    }
}

/// The arrays of one section.
pub(super) struct Parts<'a> {
    pub(super) file: &'a SharedFile,
    /// The place of the first among all of the file.
    pub(super) first: usize,
    pub(super) entries: Vec<&'a Entry>,
}

impl Parts<'_> {
    fn entry(&self, part: u32) -> Result<&Entry, FormatProblem> {
        let entry = self.entries.iter().find(|entry| entry.part == part);
        entry.copied().ok_or(FormatProblem::Structure { problem: "one is missing" })
    }

    /// An array as a slice.
    pub(super) fn slice<T: Element>(&self, part: u32) -> Result<Shared<[T]>, FormatProblem> {
        let entry = self.entry(part)?;
        entry.verify_element(&Spec::of::<T>())?;
        let view = View::new(self.file.keeper(), |file| {
            let problem = |_| FormatProblem::Structure { problem: "one is not aligned" };
            bytemuck::try_cast_slice(file.array(entry)).map_err(problem)
        })?;
        Ok(view.into())
    }

    /// What `find` finds in the bytes of an array whose element is told by `spec`: looked for
    /// by the first who takes the section, and remembered. So the view does not keep the file
    /// alive, which remembers it, but the memory alone.
    pub(super) fn find_once<D: ?Sized + Sync + 'static>(
        &self,
        part: u32,
        spec: &Spec,
        find: impl for<'a> Fn(&'a [u8]) -> Result<&'a D, FormatProblem>,
    ) -> Result<View<D>, FormatProblem> {
        let entry = self.entry(part)?;
        entry.verify_element(spec)?;
        let memory = &self.file.inner.memory;
        self.once(|| View::new(Arc::clone(memory), |memory| find(entry.of(memory))))
    }

    /// What `look` finds in the section, remembered for all who take it from this file.
    pub(super) fn once<P: Clone + Send + Sync + 'static>(
        &self,
        look: impl Fn() -> Result<P, FormatProblem>,
    ) -> Result<P, FormatProblem> {
        self.file.inner.once(self.first, look)
    }
}

impl<T: Element> sealed::Take for Shared<[T]> {
    #[allow(private_interfaces, reason = "the trait is sealed")]
    const KIND: Kind = Kind::SLICE;

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        parts.slice(0)
    }

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn verify(&mut self, _parts: &Parts<'_>) -> Result<(), FormatProblem> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::shared::{Key, Section, SharedBytes, SharedMap, SharedStrs, Verify};

    /// A key that counts how often it is looked at.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Counted(u64);

    static LOOKS: AtomicUsize = AtomicUsize::new(0);

    impl Element for Counted {
        const NAME: &'static str = "test.Counted v1";
    }

    impl Key for Counted {
        fn prefix(&self) -> u64 {
            LOOKS.fetch_add(1, Ordering::Relaxed);
            self.0
        }
    }

    /// The same to the file, and another type.
    #[derive(Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Backwards(u64);

    impl Element for Backwards {
        const NAME: &'static str = Counted::NAME;
    }

    impl Ord for Backwards {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            other.0.cmp(&self.0)
        }
    }

    impl PartialOrd for Backwards {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Key for Backwards {
        fn prefix(&self) -> u64 {
            !self.0
        }
    }

    fn with_map() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.plim");
        let writer = SharedFile::create(&path).unwrap();
        writer.map("map").unwrap().fill((0..100).map(|n| (Counted(n), n))).unwrap();
        writer.finish().unwrap();
        (directory, path)
    }

    #[test]
    fn the_order_of_keys_is_looked_at_once_for_each_file_that_is_open() {
        let (_directory, path) = with_map();
        let looks = |file: &SharedFile| {
            let before = LOOKS.load(Ordering::Relaxed);
            file.get::<SharedMap<Counted, u64>>("map").unwrap();
            LOOKS.load(Ordering::Relaxed) - before
        };
        for verify in [Verify::FirstUse, Verify::Payload] {
            let file = SharedFile::open_with(&path, verify).unwrap();
            assert!(looks(&file) >= 100, "{verify:?}");
            assert_eq!(looks(&file), 0, "{verify:?}");
            assert_eq!(looks(&file.clone()), 0, "{verify:?}");
        }
    }

    #[test]
    fn what_was_found_for_one_type_is_not_believed_of_another() {
        let (_directory, path) = with_map();
        let file = SharedFile::open(&path).unwrap();
        for _ in 0..2 {
            file.get::<SharedMap<Counted, u64>>("map").unwrap();
            let backwards = file.get::<SharedMap<Backwards, u64>>("map");
            assert!(backwards.unwrap_err().to_string().contains("not sorted"));
        }
    }

    #[cfg(feature = "rkyv")]
    #[derive(rkyv::Archive, rkyv::Serialize)]
    struct Words(Vec<String>);

    #[cfg(feature = "rkyv")]
    impl crate::shared::NamedArchive for Words {
        const NAME: &'static str = "test.Words v1";
    }

    /// Takes a section twice, with all pages given up before. The second time, too, a page is
    /// looked at here and there, and the system brings its neighbours.
    #[cfg(target_os = "linux")]
    fn is_read_once<S: Section>(file: &SharedFile, name: &str) {
        use crate::shared::prefault::tests::in_page_tables;

        let bytes = file.size_bytes();
        let taken = || {
            file.inner.memory.release(0, bytes as usize);
            file.get::<S>(name).unwrap();
            in_page_tables(file)
        };
        let (first, second) = (taken(), taken());
        assert!(second < first / 2, "{name}: {first}, {second} of {bytes}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn lists_and_archives_are_read_once_for_each_file_that_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.plim");
        let writer = SharedFile::create(&path).unwrap();
        let texts = || (0..1 << 17).map(|n: u32| format!("text {n:011}"));
        writer.bytes("bytes").unwrap().fill((0..1 << 20).map(|_| b"")).unwrap();
        writer.strs("strs").unwrap().fill(texts()).unwrap();
        #[cfg(feature = "rkyv")]
        writer.archive("archive", &Words(texts().collect())).unwrap();
        writer.finish().unwrap();
        let file = SharedFile::open(&path).unwrap();
        #[cfg(feature = "rkyv")]
        is_read_once::<crate::shared::SharedArchive<Words>>(&file, "archive");
        is_read_once::<SharedBytes>(&file, "bytes");
        is_read_once::<SharedStrs>(&file, "strs");
        let strs: SharedStrs = file.get("strs").unwrap();
        drop(file);
        assert_eq!(&strs[77], "text 00000000077", "what is remembered outlives the file");
    }
}
