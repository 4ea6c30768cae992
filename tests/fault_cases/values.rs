//! Values of which every one that is made must be dropped once.

use std::sync::{Arc, Mutex, MutexGuard};

use plimsoll::ItemId;

/// All values of a run: what each is, and how often it was dropped.
#[derive(Default)]
pub(crate) struct Census(Mutex<Vec<(String, u32)>>);

impl Census {
    fn list(&self) -> MutexGuard<'_, Vec<(String, u32)>> {
        self.0.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn enter(self: &Arc<Self>, what: String) -> Mark {
        let mut list = self.list();
        list.push((what, 0));
        Mark { place: list.len() - 1, census: Arc::clone(self), lit: false }
    }

    /// Fails unless each was dropped once; how many there were. Then begins anew.
    pub(crate) fn verify(&self) -> usize {
        let list = std::mem::take(&mut *self.list());
        let made = list.len();
        let wrong: Vec<_> = list.into_iter().filter(|(_, drops)| *drops != 1).collect();
        assert!(wrong.is_empty(), "not dropped once (0: leaked): {wrong:?}");
        made
    }
}

/// An entry in the census. While it is lit, it panics when it is dropped; who drops it
/// in code of the user puts it out before, since two panics at once would abort.
pub(crate) struct Mark {
    census: Arc<Census>,
    place: usize,
    pub(crate) lit: bool,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.census.list()[self.place].1 += 1;
        assert!(!self.lit, "planned: a drop");
    }
}

/// What flows through the pipeline; it knows the id that it must be told by.
pub(crate) struct Value {
    pub(crate) id: ItemId,
    pub(crate) mark: Mark,
}

impl Value {
    pub(crate) fn new(id: ItemId, census: &Arc<Census>) -> Self {
        let mark = census.enter(format!("item {id}"));
        Self { id, mark }
    }
}
