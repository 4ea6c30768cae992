//! What would help, found out when somebody asks.

use std::fmt;
use std::sync::Arc;

/// What would let a [too large](crate::Cause::TooLarge) item through, in words: what to declare
/// or which budget to give. It is found when this is displayed, by planning on each budget that is
/// tried, so an error that nobody reads costs nothing.
///
/// ```
/// use plimsoll::{Budget, Cause, Footprint, MIB, Pipeline, Stage};
///
/// let fold = Stage::memory("fold", Footprint::per_item(|bytes: &u64| *bytes)).map(|bytes| bytes);
/// let pipeline = Pipeline::new(fold).build(&Budget::new(256 * MIB, 2))?;
/// let failed = pipeline.run([200 * MIB], drop).unwrap_err();
/// let Some(Cause::TooLarge { way_out, .. }) = failed.item().map(|item| item.cause()) else {
///     panic!("{failed}")
/// };
/// assert_eq!(
///     way_out.to_string(),
///     "declare `largest_item(201 * MIB)` or more, raise the budget (`401 * MIB` would do without it)"
/// );
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[derive(Clone)]
pub struct WayOut(Arc<Told>);

/// Boxed, so that an error that may hold one stays small.
type Told = Box<dyn Fn() -> String + Send + Sync>;

impl WayOut {
    pub(crate) fn new(told: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(Box::new(told)))
    }
}

impl fmt::Display for WayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&(self.0)())
    }
}

impl fmt::Debug for WayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
