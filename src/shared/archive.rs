//! Nested data, as archives of rkyv: used where it is mapped, without being parsed.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use rkyv::api::high::HighValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;

use super::element::{Name, Spec};
use super::file::SharedFile;
use super::pages::View;
use super::section::{Parts, sealed::Take};
use super::table::Kind;
use crate::error::FormatProblem;
use crate::table::Table;

/// A type whose archive, made by [`rkyv`], can be a section of a shared file.
///
/// The name is the contract, as that of an [`Element`](super::Element) is, and has to be
/// changed whenever the fields change. What files record is this name with the size and
/// alignment of the archived root.
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// use plimsoll::{NamedArchive, SharedArchive, SharedFile};
///
/// #[derive(rkyv::Archive, rkyv::Serialize)]
/// struct Model {
///     layers: Vec<Vec<f32>>,
///     names: Vec<String>,
/// }
///
/// impl NamedArchive for Model {
///     const NAME: &'static str = "atlas.Model v1";
/// }
///
/// # let directory = std::env::temp_dir().join(format!("plimsoll-rkyv-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("model.plim");
/// let model = Model { layers: vec![vec![0.5; 3]; 2], names: vec!["in".into(), "out".into()] };
/// let writer = SharedFile::create(&path)?;
/// writer.archive("model", &model)?;
/// writer.finish()?;
///
/// let model: SharedArchive<Model> = SharedFile::open(&path)?.get("model")?;
/// assert_eq!((&*model.names[1], model.layers[0][2].to_native()), ("out", 0.5));
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
pub trait NamedArchive: rkyv::Archive {
    /// The name that files record, of at most 80 bytes of printable ASCII.
    const NAME: &'static str;
}

struct Recorded<T>(PhantomData<T>);

impl<T: NamedArchive> Recorded<T> {
    const NAME: Name = Name::EMPTY
        .text("rkyv 0.8, ")
        .number(size_of::<T::Archived>())
        .text(" bytes, ")
        .text(T::NAME);
}

/// What a file records of an archive of `T`.
pub(super) const fn spec<T: NamedArchive>() -> Spec {
    const {
        let name: &'static Name = &Recorded::<T>::NAME;
        Spec::archive(name.as_str(), align_of::<T::Archived>())
    }
}

/// Nested data in a shared file, held once for all who use it: what
/// [`rkyv`] makes of a `T`.
///
/// It is always validated when it is first taken from a file that is open, whatever
/// [`Verify`](super::Verify) says, because safety depends on it: all of it is read. What is
/// large and needs no nesting is better kept in other sections.
pub struct SharedArchive<T: NamedArchive> {
    view: View<T::Archived>,
    file: SharedFile,
}

impl<T: NamedArchive> Take for SharedArchive<T>
where
    T::Archived: rkyv::Portable + Sync + for<'a> CheckBytes<HighValidator<'a, rancor::Error>>,
    T::Archived: 'static,
{
    #[allow(private_interfaces, reason = "the trait is sealed")]
    const KIND: Kind = Kind::ARCHIVE;

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        let view = parts.find_once(0, &spec::<T>(), |bytes| {
            rkyv::access::<T::Archived, rancor::Error>(bytes)
                .map_err(|error| FormatProblem::Archive { problem: error.to_string() })
        })?;
        Ok(Self { view, file: parts.file.clone() })
    }

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn verify(&mut self, _parts: &Parts<'_>) -> Result<(), FormatProblem> {
        Ok(())
    }
}

impl<T: NamedArchive> Deref for SharedArchive<T> {
    type Target = T::Archived;

    fn deref(&self) -> &T::Archived {
        &self.view
    }
}

impl<T: NamedArchive> Clone for SharedArchive<T> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone(), file: self.file.clone() }
    }
}

impl<T: NamedArchive> From<&SharedArchive<T>> for Table {
    fn from(archive: &SharedArchive<T>) -> Self {
        archive.file.inner.table_at(&*archive.view)
    }
}

impl<T: NamedArchive> fmt::Debug for SharedArchive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArchive").field("of", &T::NAME).finish_non_exhaustive()
    }
}
