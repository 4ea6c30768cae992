//! The table of faults: which kind may strike at which stage, and whom.

use plimsoll::ItemId;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ItemError,
    ItemPanic,
    /// The token is pulled by the call for the item.
    Cancel,
    /// The call for the item outlasts the time limit.
    Deadline,
    EarlyDrop,
    SourcePanic,
    SinkError,
    SinkPanic,
    /// The item panics, and so does the sink that is told of it.
    FailureSinkPanic,
    /// The first state; at a later item, the one after a panic.
    StateError,
    StatePanic,
    /// At the second of two children.
    IterPanic,
    IterDropPanic,
    IterPanicTwice,
    WeigherPanic,
    SourceWeigherPanic,
    FootprintPanic,
    /// The item ends the run, and all others panic when they are dropped.
    ItemDropPanic,
    StateDropPanic,
    /// The call panics, and so does the drop of the state that saw it.
    StatePanicTwice,
}

pub(crate) const MAP: usize = 0;
pub(crate) const FUSED: usize = 1;
pub(crate) const MEMORY: usize = 2;
pub(crate) const FLAT: usize = 3;
pub(crate) const SECOND: usize = 4;
pub(crate) const BATCH: usize = 5;
pub(crate) const FILTER: usize = 6;
pub(crate) const LAST: usize = 7;

/// Stage names, by place.
pub(crate) const NAMES: [&str; 8] =
    ["map", "fused", "memory", "flat", "second", "batch", "filter", "last"];

impl Kind {
    pub(crate) const ALL: [Self; 20] = [
        Self::ItemError,
        Self::ItemPanic,
        Self::Cancel,
        Self::Deadline,
        Self::EarlyDrop,
        Self::SourcePanic,
        Self::SinkError,
        Self::SinkPanic,
        Self::FailureSinkPanic,
        Self::StateError,
        Self::StatePanic,
        Self::IterPanic,
        Self::IterDropPanic,
        Self::IterPanicTwice,
        Self::WeigherPanic,
        Self::SourceWeigherPanic,
        Self::FootprintPanic,
        Self::ItemDropPanic,
        Self::StateDropPanic,
        Self::StatePanicTwice,
    ];

    /// Where it may strike; what strikes outside the stages is put at the first.
    pub(crate) fn stages(self) -> &'static [usize] {
        match self {
            Self::ItemError => &[MAP, FUSED, MEMORY, BATCH, LAST],
            // A stage with a footprint for each item is not fused.
            Self::FootprintPanic => &[MAP, MEMORY, FLAT, SECOND, BATCH, FILTER, LAST],
            Self::StateError | Self::StatePanic | Self::StateDropPanic | Self::StatePanicTwice => {
                &[MEMORY, SECOND, BATCH]
            }
            Self::IterPanic | Self::IterDropPanic | Self::IterPanicTwice => &[FLAT, SECOND],
            Self::EarlyDrop
            | Self::SourcePanic
            | Self::SinkError
            | Self::SinkPanic
            | Self::SourceWeigherPanic => &[MAP],
            _ => &[MAP, FUSED, MEMORY, FLAT, SECOND, BATCH, FILTER, LAST],
        }
    }

    /// Whether it makes sense where failures end the run, or are collected.
    pub(crate) fn suits(self, collect: bool) -> bool {
        collect || self != Self::FailureSinkPanic
    }

    /// Whether it makes sense for a run into a sink, or for a stream.
    pub(crate) fn strikes(self, streamed: bool) -> bool {
        match self {
            Self::EarlyDrop => streamed,
            Self::SinkError | Self::SinkPanic => !streamed,
            _ => true,
        }
    }

    /// Whether it fails one item and nothing else.
    pub(crate) fn fails_an_item(self) -> bool {
        matches!(
            self,
            Self::ItemError
                | Self::ItemPanic
                | Self::IterPanic
                | Self::IterPanicTwice
                | Self::WeigherPanic
                | Self::SourceWeigherPanic
                | Self::FootprintPanic
                | Self::StatePanicTwice
        )
    }
}

/// One fault in one pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) stage: usize,
    /// The item that is struck, of so many.
    pub(crate) item: u64,
    pub(crate) items: u64,
    pub(crate) ordered: bool,
    /// Failures are collected; otherwise the first ends the run.
    pub(crate) collect: bool,
    /// Items panic when the crate drops them, beside the fault itself.
    pub(crate) lit: bool,
    pub(crate) cores: usize,
    pub(crate) memory: u64,
}

impl Case {
    /// The struck item as it enters a stage `level` flat_maps below the source.
    pub(crate) fn struck(&self, level: usize) -> ItemId {
        let path = match self.item {
            0 => [0, 0],
            last if last + 1 == self.items => [1, 1],
            _ => [0, 1],
        };
        path[..level].iter().fold(ItemId::new(self.item), |id, child| id.child(*child))
    }

    /// The item that is told to have failed.
    pub(crate) fn failing(&self) -> ItemId {
        let into = level_into(self.stage);
        match self.kind {
            Kind::SourceWeigherPanic => self.struck(0),
            Kind::IterPanic | Kind::IterPanicTwice => self.struck(into).child(1),
            Kind::WeigherPanic => self.struck(level_into(self.stage + 1)),
            _ => self.struck(into),
        }
    }

    /// Whether every item behind the struck one fails too, in the first stage: the
    /// first in order must be told, not the first in time; and a failure sink that
    /// panicked must not be told of the others.
    pub(crate) fn has_decoys(&self) -> bool {
        self.kind == Kind::FailureSinkPanic || (self.kind.fails_an_item() && !self.collect)
    }

    /// What a run without a fault delivers.
    pub(crate) fn outputs(&self) -> Vec<ItemId> {
        let items = (0..self.items).map(ItemId::new);
        let children = |id: ItemId| (0..2).map(move |child| id.child(child));
        items.flat_map(children).flat_map(children).filter(is_kept).collect()
    }
}

/// How many flat_maps stand above a stage.
pub(crate) fn level_into(stage: usize) -> usize {
    usize::from(stage > FLAT) + usize::from(stage > SECOND)
}

/// Whether the filter lets an item pass. None that is struck is filtered.
pub(crate) fn is_kept(id: &ItemId) -> bool {
    id.path() != [1, 0]
}
