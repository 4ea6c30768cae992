//! Shared data as a plan counts it: see [`Table`].

use std::sync::atomic::Ordering;

use super::file::Inner;
use super::pages::Kind;
use super::sealed::IsSlice;
use super::source::Identity;
use super::table::Entry;
use super::{Shared, SharedFile};
use crate::table::{Extent, MemoryId, Pages, Table};

impl From<&SharedFile> for Table {
    /// The whole file.
    fn from(file: &SharedFile) -> Self {
        let all: Vec<_> = (0..file.inner.entries.len()).collect();
        file.inner.table(&all)
    }
}

impl<D: IsSlice + ?Sized> From<&Shared<D>> for Table {
    fn from(shared: &Shared<D>) -> Self {
        let data: &D = shared;
        if let Some(file) = shared.view.file() {
            return file.table_at(data);
        }
        let address = std::ptr::from_ref(data).addr();
        let (memory, bytes) = (MemoryId::Own(address), 0..size_of_val(data) as u64);
        let name = format!("{} on the heap", std::any::type_name::<D>());
        Table {
            name,
            extents: vec![Extent { memory, bytes, pages: Pages::Real }],
            floor: None,
            unverified: false,
        }
    }
}

/// The parts of one thing; `kind` names it if it is on the heap.
pub(super) fn joined<const N: usize>(kind: Option<&str>, parts: [Table; N]) -> Table {
    let mut joined =
        Table { name: String::new(), extents: Vec::new(), floor: None, unverified: false };
    for part in parts {
        joined.name = part.name;
        joined.unverified |= part.unverified;
        for extent in part.extents {
            // Of a copy, or of a pinned file, each part is the whole.
            if !joined.extents.contains(&extent) {
                joined.extents.push(extent);
            }
        }
    }
    match kind {
        Some(kind) => Table { name: format!("{kind} on the heap"), ..joined },
        None => joined,
    }
}

impl Inner {
    /// The array that some data of this file is in.
    pub(super) fn table_at<D: ?Sized>(&self, data: &D) -> Table {
        self.table(self.place_at(std::ptr::from_ref(data).addr()).as_slice())
    }

    /// The entry of the array that is at an address.
    fn place_at(&self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.memory.as_ptr().addr())? as u64;
        let holds = |at: &usize| {
            let entry = &self.entries[*at];
            (entry.offset..entry.offset + entry.bytes()).contains(&offset)
        };
        (0..self.entries.len()).find(holds)
    }

    /// The arrays at these places; of a copy all there are, which are in memory whether
    /// they are used or not, and of a pinned file all of it.
    fn table(&self, places: &[usize]) -> Table {
        let Identity { device, inode, length, checksum } = self.identity;
        let memory = match self.memory.kind() {
            Kind::Copy => MemoryId::Own(self.memory.as_ptr().addr()),
            Kind::File | Kind::MemoryFile => MemoryId::File { device, inode, length, checksum },
        };
        let array = |at: usize, pages| {
            let entry = &self.entries[at];
            Extent { memory, bytes: entry.offset..entry.offset + entry.bytes(), pages }
        };
        let all = 0..self.entries.len();
        let extents: Vec<_> = match self.memory.kind() {
            Kind::Copy | Kind::MemoryFile => all.map(|at| array(at, Pages::Real)).collect(),
            Kind::File if self.pinned.load(Ordering::Relaxed) => {
                vec![Extent { memory, bytes: 0..length, pages: Pages::Pinned }]
            }
            Kind::File => {
                let in_order = |at: usize| self.in_order[at].load(Ordering::Relaxed);
                let pages = |at| Pages::Reclaimable { in_order: in_order(at) };
                places.iter().map(|at| array(*at, pages(*at))).collect()
            }
        };
        let is_part = extents.len() < self.entries.len() && !self.pinned.load(Ordering::Relaxed);
        let file = self.path().file_name().unwrap_or(self.path().as_os_str()).to_string_lossy();
        let section = places.first().filter(|_| is_part).map(|at| &self.entries[*at].section);
        let name = match section {
            Some(section) => format!("{file}: {section}"),
            None => file.into_owned(),
        };
        let unverified = places.iter().any(|at| self.stays_unverified(*at));
        Table { name, extents, floor: None, unverified }
    }

    /// Whether nobody compares the checksum of this array, unless asked to.
    fn stays_unverified(&self, at: usize) -> bool {
        let section = &self.entries[at].section;
        let parts = self.entries.iter().filter(|entry| entry.section == *section);
        let bytes = parts.map(Entry::bytes).sum();
        !self.was_verified(at) && !self.verify.when_asked_for(bytes)
    }
}
