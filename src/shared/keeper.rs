//! What handles keep alive.

use std::sync::Arc;

use super::Shared;
use super::element::Element;
use super::file;
use super::pages::Memory;
use super::sealed::IsSlice;

/// What a [`View`](super::pages::View) leads into.
pub(super) trait Keeper: Send + Sync + 'static {
    /// The file, if it is one.
    fn file(&self) -> Option<&file::Inner> {
        None
    }

    /// As `file`, as one of its owners.
    fn into_file(self: Arc<Self>) -> Option<Arc<file::Inner>> {
        None
    }
}

impl<T: Element> Keeper for Box<[T]> {}

impl Keeper for Memory {}

impl<D: IsSlice + ?Sized + Sync + 'static> Keeper for Shared<D> {
    fn file(&self) -> Option<&file::Inner> {
        self.view.file()
    }

    fn into_file(self: Arc<Self>) -> Option<Arc<file::Inner>> {
        self.view.owned_file()
    }
}
