use super::*;
use crate::budget::Budget;
use crate::buffers::Pools;
use crate::plan::{Settings, plan};
use crate::stage::Stage;

fn context() -> Context<'static> {
    context_for(None)
}

fn context_for(largest_item: Option<u64>) -> Context<'static> {
    let stages = ["first", "second"].map(|name| Stage::cpu(name).map(|(): ()| ()).weigh(|()| 1));
    let settings = Settings { ordered: false, window: 64, largest_item };
    let specs = stages.map(|stage| stage.spec);
    Context::new(
        plan(&Budget::new(8_000, 1), &specs, &settings).expect("it fits"),
        None,
        Pools::default(),
        Clock::start(),
    )
}

fn planned() -> Cause {
    Cause::Panic { declaration: None, message: "planned".to_owned() }
}

#[test]
fn a_meter_forgets_heavy_outputs_by_and_by() {
    let meter = Meter::default();
    let learned = [80, 0, 75, 69, 0].map(|heaviest| {
        meter.learn(heaviest);
        meter.learned()
    });
    assert_eq!(learned, [80, 70, 75, 69, 61]);
}

#[test]
fn a_meter_books_the_time_for_states_apart() {
    let meter = Meter::default();
    for (items, elapsed, set_up) in [(3, 50, 20), (2, 10, 0), (0, 5, 7)] {
        meter.record(items, elapsed, Duration::from_nanos(set_up));
    }
    let told = [&meter.items, &meter.busy_nanos, &meter.set_up_nanos];
    assert_eq!(told.map(|counter| counter.load(Ordering::Relaxed)), [5, 40, 27]);
}

#[test]
fn the_first_failure_in_order_is_kept() {
    let cx = context();
    let mut failed = None;
    for index in [5, 3, 4] {
        cx.fail(1, ItemId::new(index), planned(), &mut failed);
    }
    assert_eq!(failed, Some(ItemId::new(3)));
    assert_eq!(cx.fates.failed.load(Ordering::Relaxed), 3);
    let Some(Error::Item(error)) = cx.take_error() else { panic!("an item failed") };
    assert_eq!((error.item(), error.stage()), (&ItemId::new(3), "second"));
    assert!(cx.take_error().is_none());
}

#[test]
fn what_breaks_the_run_first_comes_before_any_item() {
    let cx = context();
    cx.fail(0, ItemId::new(0), planned(), &mut None);
    assert!(!cx.is_broken());
    let limits = [1, 2].map(Duration::from_secs);
    limits.iter().for_each(|limit| cx.break_run(Error::TimeLimit { limit: *limit }));
    assert!(cx.is_broken());
    let error = cx.take_error();
    assert!(matches!(error, Some(Error::TimeLimit { limit }) if limit == limits[0]), "{error:?}");
}

#[test]
fn segments_are_named_after_their_first_stage() {
    let cx = context();
    let names = cx.plan.segments.iter().map(|segment| cx.segment_name(segment));
    assert_eq!(names.collect::<Vec<_>>(), ["first", "second", "(sink)"]);
}

#[test]
fn parcels_hold_as_many_items_as_are_light_together() {
    let cx = context();
    assert_eq!(cx.plan.parcel_bytes(), 1_000);
    assert_eq!(context_for(Some(800)).plan.parcel_bytes(), 200, "of the smaller account");
    assert_eq!(context_for(Some(7_200)).plan.parcel_bytes(), 200);
    let items = [(9, 100), (11, 100), (9, 0), (9, 2_000), (0, 1)];
    assert_eq!(items.map(|(most, weight)| cx.items_within(most, weight)), [9, 10, 9, 1, 1]);
    assert_eq!(cx.parcel_items(), 1);
    cx.set_parcel_items(7);
    assert_eq!(cx.parcel_items(), 7);
}
