//! Shared data as a plan counts it: which bytes, and how much of them must stay in memory.

use std::ops::Range;

/// Shared data that a stage works with, and how much of it must stay in memory for the
/// stage to be fast. Declared by [`Footprint::table`](crate::Footprint::table).
///
/// It is made of a reference to whatever is shared: a [`SharedFile`](crate::SharedFile), or
/// what was taken from one. A plan counts it once, however many stages declare it and
/// whatever handles they have of it:
///
/// | the data is | counted, bytes | if the budget has no room for it |
/// |---|---|---|
/// | mapped, with a [`floor`](Self::floor) | the floor | the plan is refused |
/// | mapped, without one | all of it, as look-ups at random need; 16 MiB, if it is [read in order](crate::Advice::Sequential) | as much as there is room for, and the plan notes what is missing |
/// | [pinned](crate::SharedFile::pin) | the whole file | the plan is refused |
/// | a copy in memory ([`load`](crate::SharedFile::load), [`seal`](crate::SharedFile::seal), a file on a `tmpfs`, made of a `Vec`) | the whole copy | the plan is refused |
///
/// Pages of a mapped file are the system's, to give up and read again, so any part of a
/// table may be missing and all still works. But a look-up that waits for an SSD takes
/// hundreds to thousands of times as long as one in memory: if only a hundredth of them has
/// to wait, that takes several times as long as all the others together. So no share of a
/// table that is looked up everywhere is nearly as good as the whole, and the whole is the
/// default. Data that is read in order arrives before it is needed, at the speed of the disk,
/// however little of it is kept. Only an eighth of what there is room for may go to workers
/// instead, as a stage that has one of eight is slow for certain. Whoever knows better, because most look-ups go to a
/// part of the table, or because all of it is read in order again and again, declares a
/// floor.
///
/// What counts is how the data is at this moment: pin and [advise](crate::SharedFile::advise)
/// before.
///
/// ```
/// use plimsoll::{Budget, Footprint, MIB, Pipeline, Shared, Stage, Table};
///
/// let squares = Shared::from((0..1_000_000).map(|n| n * n).collect::<Vec<u64>>());
/// let root = Stage::memory("root", Footprint::table(&squares))
///     .filter_map(|n: u64| squares.binary_search(&n).ok());
/// let pipeline = Pipeline::new(root).build(&Budget::new(64 * MIB, 2))?;
///
/// let [table] = pipeline.plan().tables() else { panic!("there is one") };
/// assert_eq!((table.size_bytes(), table.counted()), (8_000_000, 8_000_000));
/// assert_eq!(table.stages(), ["root"]);
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    /// What people call it: the file, and the section if it is not all of it.
    pub(crate) name: String,
    /// Where its bytes are.
    pub(crate) extents: Vec<Extent>,
    /// Bytes that must stay in memory, if somebody says so.
    pub(crate) floor: Option<u64>,
    /// Whether its checksum was not compared with the data, and will not be.
    pub(crate) unverified: bool,
}

/// What can be a [`Table`]: a reference to what is shared.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no shared table",
    label = "not a reference to a `Shared`, a `SharedFile` or a section of one",
    note = "what is shared is lent, as the stage uses it, too: `Footprint::table(&rows)`",
    note = "what lies on the heap, as a `Vec` does, is declared by its bytes: `Footprint::shared(bytes)`"
)]
pub trait IntoTable {
    /// The table.
    fn into_table(self) -> Table;
}

#[diagnostic::do_not_recommend]
impl<T: Into<Table>> IntoTable for T {
    fn into_table(self) -> Table {
        self.into()
    }
}

impl Table {
    /// What is shared, as a table: that of [`Footprint::table`](crate::Footprint::table) if
    /// there is nothing to add.
    #[must_use]
    pub fn of(shared: impl IntoTable) -> Self {
        shared.into_table()
    }

    /// Declares that `bytes` of it must stay in memory: those that most look-ups go to. A plan
    /// that has no room for them is refused. More than there is is all of it. A copy in
    /// memory and a pinned file count in full whatever is declared.
    ///
    /// ```
    /// use plimsoll::{Footprint, MIB, Shared, Table};
    ///
    /// # fn declare(index: &Shared<[u64]>) -> Footprint<'static, u64> {
    /// // Nine of ten queries go to the newest tenth.
    /// Footprint::table(Table::of(index).floor(100 * MIB))
    /// # }
    /// ```
    #[must_use]
    pub fn floor(self, bytes: u64) -> Self {
        Self { floor: Some(bytes), ..self }
    }

    /// Bytes of the data.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.extents.iter().map(Extent::length).sum()
    }
}

/// A stretch of some memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) memory: MemoryId,
    /// Offsets of its bytes in there.
    pub(crate) bytes: Range<u64>,
    pub(crate) pages: Pages,
}

impl Extent {
    pub(crate) fn length(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }
}

/// What tells some memory from all other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MemoryId {
    /// The pages of a file, which all maps of it share: what tells the file from others.
    File { device: u64, inode: u64, length: u64, checksum: u64 },
    /// This process's own, at an address.
    Own(usize),
}

/// What the system may do with pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pages {
    /// Memory and nothing else: real memory counts them.
    Real,
    /// A file's, that stay in memory.
    Pinned,
    /// A file's, that can be given up and read again.
    Reclaimable { in_order: bool },
}
