//! Archives in the making.

use std::io;

use rkyv::api::high::HighSerializer;
use rkyv::rancor;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;

use super::SharedFileWriter;
use super::array::Array;
use crate::error::Error;
use crate::shared::archive::{NamedArchive, spec};
use crate::shared::table::Kind;

impl SharedFileWriter {
    /// Writes a section of nested data, to be taken as a
    /// [`SharedArchive`](crate::SharedArchive); returns its bytes.
    ///
    /// The archive is made in memory, besides the value. It has at most 2 GiB, unless
    /// the feature `pointer_width_64` of `rkyv` is on.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedSection`] if the name cannot be had.
    /// - [`Error::SharedIo`] if `rkyv` refuses the value, or the system the bytes.
    pub fn archive<T>(&self, name: &str, value: &T) -> Result<u64, Error>
    where
        T: NamedArchive,
        T: for<'a> rkyv::Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, rancor::Error>>,
    {
        self.core.open(name)?;
        let bytes = rkyv::to_bytes::<rancor::Error>(value)
            .map_err(|error| self.core.io("make an archive for", io::Error::other(error)))?;
        let mut array = Array::new(&self.core, name, Kind::ARCHIVE, 0, spec::<T>());
        array.append(&bytes)?;
        array.finish()?;
        self.core.close(name);
        Ok(bytes.len() as u64)
    }
}
