use std::sync::Arc;

use super::*;
use crate::budget::Budget;
use crate::buffers::Pools;
use crate::error::ItemError;
use crate::plan::{Settings, plan};
use crate::stage::Stage;
use crate::sync::Clock;

/// Half of the line is the oldest's; a parcel of several items may need a quarter of
/// that, 1,000 bytes.
fn context<'r>(failures: &Arc<Mutex<Vec<ItemError>>>) -> Context<'r> {
    let spec = Stage::cpu("stage").map(|(): ()| ()).spec;
    let settings = Settings { ordered: false, window: 64, largest_item: None };
    let plan = plan(&Budget::new(8_000, 1), &[spec], &settings).expect("it fits");
    let failures = Arc::clone(failures);
    let cx = Context::new(
        plan,
        Some(Box::new(move |error| failures.lock().push(error))),
        Pools::default(),
        Clock::start(),
    );
    assert_eq!((cx.plan.reserve, cx.plan.parcel_bytes()), (4_000, 1_000));
    cx
}

/// Items numbered from 10 on, each its own weight.
fn parcel(weights: &[u64], chain: u64) -> Parcel<u64> {
    let items = weights.to_vec().into();
    let weights = Weights::Declared(weights.to_vec());
    Parcel { base: ItemId::new(10), items, weights, chain }
}

/// A piece: its first item, how many there are, what is asked for them.
type Piece = (u64, usize, Vec<u64>);

/// The pieces that `parcel` is cut into, and the items that fail.
fn cut(parcel: Parcel<u64>, per_item: Option<u64>, floor: u64) -> (Vec<Piece>, Vec<ItemError>) {
    let failures = Arc::default();
    let cx = context(&failures);
    let per_item = per_item.map(|need| -> Weigher<'_, u64> { Arc::new(move |_: &u64| need) });
    let desk = Desk { stage: 0, per_item: per_item.as_ref(), floor, cx: &cx };
    let (mut pieces, mut failed) = (Vec::new(), None);
    desk.admit(parcel, &mut failed, |piece, needs| {
        let (first, items) = (piece.id_at(0).source_index(), piece.items.len());
        assert_eq!(piece.id_at(items - 1).source_index(), first + items as u64 - 1);
        let weights: u64 = piece.items.values().iter().sum();
        assert_eq!(piece.weight(), weights);
        pieces.push((first, items, needs));
    });
    assert_eq!(failed, None, "failures are collected");
    let failures = std::mem::take(&mut *failures.lock());
    (pieces, failures)
}

fn sizes(weights: &[u64], chain: u64, per_item: Option<u64>, floor: u64) -> Vec<usize> {
    let (pieces, failures) = cut(parcel(weights, chain), per_item, floor);
    assert!(failures.is_empty());
    pieces.into_iter().map(|(_, items, _)| items).collect()
}

#[test]
fn what_is_light_goes_whole_and_nothing_is_asked_for_it() {
    let (pieces, _) = cut(parcel(&[100; 10], 0), None, 0);
    assert_eq!(pieces, [(10, 10, vec![])]);
    let (pieces, _) = cut(parcel(&[100; 11], 0), None, 0);
    assert_eq!(pieces, [(10, 10, vec![0; 10]), (20, 1, vec![0])]);
    assert_eq!(sizes(&[100; 8], 200, None, 0), [8], "the ancestors count once");
    assert_eq!(sizes(&[100; 9], 200, None, 0), [8, 1]);
    assert_eq!(sizes(&[100; 8], 0, None, 200), [8], "one output at a time");
    assert!(cut(parcel(&[], 0), Some(1), 0).0.is_empty());
}

#[test]
fn a_parcel_is_cut_where_the_next_item_would_make_it_heavy() {
    assert_eq!(sizes(&[400, 400, 400, 100, 500], 0, None, 0), [2, 3]);
    assert_eq!(sizes(&[100; 7], 0, Some(300), 0), [2, 2, 2, 1]);
    assert_eq!(sizes(&[1; 7], 0, Some(300), 0), [3, 3, 1], "light, but for what is asked");
    assert_eq!(sizes(&[1; 7], 0, Some(200), 132), [3, 3, 1]);
    assert_eq!(sizes(&[100; 4], 300, Some(100), 0), [3, 1]);
    assert_eq!(sizes(&[10, 2_000, 10], 0, None, 0), [1, 1, 1], "a heavy one goes alone");
    let (pieces, _) = cut(parcel(&[100; 3], 0), Some(300), 0);
    assert_eq!(pieces, [(10, 2, vec![300, 300]), (12, 1, vec![300])]);
}

#[test]
fn an_item_that_no_line_could_carry_fails_and_the_others_go_on() {
    let (pieces, failures) = cut(parcel(&[50, 3_601, 60, 3_600], 100), Some(200), 100);
    assert_eq!(pieces, [(10, 1, vec![200]), (12, 1, vec![200]), (13, 1, vec![200])]);
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(failure.item().source_index(), 11);
    assert!(
        matches!(
            failure.cause(),
            Cause::TooLarge { needed: 4_001, allowed: 4_000, weighs: 3_601, .. }
        ),
        "{failure}"
    );
}

#[test]
fn an_item_that_cannot_be_measured_fails_and_the_others_are() {
    let failures = Arc::default();
    let cx = context(&failures);
    let picky: Weigher<'_, u64> = Arc::new(|weight: &u64| {
        assert_ne!(*weight, 2, "planned");
        10 * weight
    });
    let (mut it, mut failed) = (parcel(&[1, 2, 3, u64::MAX / 16], 0), None);
    assert_eq!(it.measure((&picky, "weigh"), 0, &cx, &mut failed), [10, 30, MOST_BYTES]);
    assert_eq!(failures.lock().len(), 1);
    let left: Vec<_> = (0..3).map(|place| (it.id_at(place), it.weights.at(place))).collect();
    let id = ItemId::new;
    assert_eq!(left, [(id(10), 1), (id(12), 3), (id(13), u64::MAX / 16)]);
}

#[test]
fn a_parcel_weighs_what_its_items_weigh() {
    let mut it = parcel(&[5, 9, 7], 3);
    assert_eq!((it.weight(), it.heaviest(), it.weights.at(2)), (21, 9, 7));
    let label = it.label(4, Need { declared: 1, learned: 2 });
    assert_eq!((label.id, label.segment, label.weight), (ItemId::new(10), 4, 21));
    assert_eq!((label.entry.items, label.entry.need.learned), (3, 2));
    it.weights = Weights::Shallow(8);
    assert_eq!((it.weight(), it.heaviest(), it.weights.at(2)), (24, 8, 8));
    let rest = it.split_off(1);
    assert_eq!((it.weight(), rest.weight(), rest.chain), (8, 16, 3));
    assert_eq!(rest.id_at(1), ItemId::new(12));
    let holding = Parcel::<u64>::holding(ItemId::new(7), 11);
    assert_eq!((holding.weight(), holding.items.len()), (11, 0));
}
