//! What is counted: what a run does for each item, and the tables that stages look into.

use std::hint::black_box;

use plimsoll::{
    Budget, Footprint, GIB, KIB, MIB, Pipeline, PipelineBuilder, Shared, SharedFile, SharedMap,
    Stage, Verify,
};

use crate::item::ItemId;
use crate::rooms::frontier::Frontier;
use crate::rooms::ledger::{Account, Ledger};

pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// What is done so many times.
    pub(crate) unit: &'static str,
    /// The first time; the second twice as many.
    pub(crate) times: u64,
    pub(crate) run: fn(u64),
}

pub(crate) const ALL: [Kernel; 16] = [
    Kernel { name: "parcels", unit: "an item", times: 1_000_000, run: parcels },
    Kernel { name: "parcels in order", unit: "an item", times: 1_000_000, run: parcels_in_order },
    Kernel { name: "parcels to a stream", unit: "an item", times: 1_000_000, run: to_a_stream },
    Kernel { name: "parcels unpromised", unit: "an item", times: 1_000_000, run: of_unknown },
    Kernel { name: "one at a time", unit: "an item", times: 10_000, run: one_at_a_time },
    Kernel { name: "recorded", unit: "an item", times: 10_000, run: recorded },
    Kernel { name: "flat_map", unit: "a child", times: 200_000, run: flat_map },
    Kernel { name: "map_batch", unit: "an item", times: 20_000, run: map_batch },
    Kernel { name: "failures", unit: "an item", times: 20_000, run: failures },
    Kernel { name: "plan", unit: "a plan of 10 stages", times: 200, run: plan },
    Kernel { name: "ledger", unit: "a grant and its release", times: 100_000, run: ledger },
    Kernel { name: "frontier", unit: "a parcel of 64", times: 100_000, run: frontier },
    Kernel { name: "map look-up", unit: "a key", times: 100_000, run: map_look_up },
    Kernel { name: "slice look-up", unit: "a place", times: 100_000, run: slice_look_up },
    Kernel { name: "open", unit: "a file", times: 100, run: open },
    Kernel { name: "verify", unit: "a file of 1 MiB", times: 20, run: verify },
];

/// One core, and nothing that goes by what else the process holds.
fn planned<'env>(
    pipeline: PipelineBuilder<'env, u64, u64>,
    memory: u64,
) -> Pipeline<'env, u64, u64> {
    pipeline.build(&Budget::new(memory, 1).unmeasured()).expect("the plan fits")
}

fn run(pipeline: &Pipeline<'_, u64, u64>, source: impl Iterator<Item = u64> + Send) -> u64 {
    let mut delivered = 0;
    pipeline.run(source, |value| delivered += black_box(value) & 1 | 1).expect("nothing fails");
    delivered
}

/// Three stages that do next to nothing.
fn trivial() -> PipelineBuilder<'static, u64, u64> {
    let first = Stage::cpu("first").map(|n: u64| n.wrapping_mul(3));
    let second = Stage::memory("second", Footprint::shared(KIB)).map(|n: u64| n ^ 5);
    let third = Stage::cpu("third").map(|n: u64| n.rotate_left(7));
    Pipeline::new(first).then(second).then(third)
}

fn parcels(items: u64) {
    assert_eq!(run(&planned(trivial(), GIB), 0..items), items);
}

fn parcels_in_order(items: u64) {
    assert_eq!(run(&planned(trivial().ordered(), GIB), 0..items), items);
}

fn to_a_stream(items: u64) {
    let stream = planned(trivial(), GIB).stream(0..items).expect("threads start");
    assert_eq!(stream.map(black_box).count() as u64, items);
}

/// Numbers of which nobody knows whether there are more.
fn unpromised(items: u64) -> impl Iterator<Item = u64> + Send {
    (0..u64::MAX).take_while(move |n| *n < items)
}

/// Of a source that does not say whether it has more.
fn of_unknown(items: u64) {
    assert_eq!(run(&planned(trivial(), 256 * MIB), unpromised(items)), items);
}

/// What the scheduler takes: four steps, each booked, queued, chosen and settled for one
/// item.
fn one_at_a_time(items: u64) {
    assert_eq!(run(&four_steps(), 0..items), items);
}

/// The same of a run that is recorded: its tables fill up and are merged again and again.
fn recorded(items: u64) {
    let (pipeline, mut delivered) = (four_steps(), 0);
    let job = pipeline.job().record();
    job.run(0..items, |value| delivered += black_box(value) & 1 | 1).expect("nothing fails");
    assert_eq!(delivered, items);
}

fn four_steps() -> Pipeline<'static, u64, u64> {
    let step = |name| Stage::memory(name, Footprint::per_item(|_| MIB)).map(|n: u64| n + 1);
    let pipeline = Pipeline::new(step("first")).then(step("second")).then(step("third"));
    // So heavy that a parcel holds one.
    planned(pipeline.then(step("fourth")).weigh_source(|_| 80 * MIB), GIB)
}

fn flat_map(children: u64) {
    const EACH: u64 = 20;
    let split = Stage::cpu("split").flat_map(|n: u64| (0..EACH).map(move |child| n + child));
    let pipeline = Pipeline::new(split).then(Stage::cpu("next").map(|n: u64| n ^ 5));
    assert_eq!(run(&planned(pipeline, GIB), 0..children / EACH), children);
}

/// Batches that are gathered of items that come one at a time.
fn map_batch(items: u64) {
    let batch = Stage::cpu("batch").map_batch(20, |batch: Vec<u64>| batch);
    assert_eq!(run(&planned(Pipeline::new(batch), GIB), unpromised(items)), items);
}

/// Every item fails by itself, is told, and the run goes on.
fn failures(items: u64) {
    let fail = Stage::cpu("fail").try_map(|n: u64| black_box(Err::<u64, _>(n)).map_err(Failure));
    let pipeline = planned(Pipeline::new(fail), GIB);
    let mut told = 0;
    let job =
        pipeline.job().failures(|failure| told += black_box(failure).item().source_index() & 1 | 1);
    let report = job.run(unpromised(items), drop).expect("failures do not end the run");
    assert_eq!((report.failed(), told), (items, items));
}

#[derive(Debug)]
struct Failure(u64);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no {}", self.0)
    }
}

impl std::error::Error for Failure {}

fn plan(plans: u64) {
    const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let stage = |name| Stage::memory(name, Footprint::per_worker(MIB)).map(|n: u64| n + 1);
    for _ in 0..plans {
        let [first, rest @ ..] = NAMES.map(stage);
        let pipeline = Pipeline::new(first);
        let pipeline = rest.into_iter().fold(pipeline, |pipeline, stage| pipeline.then(stage));
        black_box(planned(pipeline, black_box(GIB)));
    }
}

/// As a step does it: a parcel's cargo is booked, its step admitted, then both go back.
fn ledger(grants: u64) {
    let mut ledger = Ledger::new(black_box(GIB), black_box(MIB));
    for grant in 0..grants {
        let cargo = ledger.charge(grant, Account::Common);
        let mut step = ledger.charge(0, Account::Common);
        assert!(ledger.admit(&mut step, black_box(KIB)).is_ok());
        ledger.release(black_box(step));
        ledger.release(black_box(cargo));
    }
    assert_eq!(ledger.held(), 0);
}

/// Among 64 that are aboard the newest comes and the oldest goes.
fn frontier(parcels: u64) {
    let mut frontier = Frontier::new();
    (0..64).for_each(|index| frontier.enter(ItemId::new(index), index));
    for index in 64..64 + parcels {
        frontier.enter(ItemId::new(index), index);
        let oldest = frontier.oldest().cloned().expect("there are 64");
        assert_eq!(frontier.leave(&oldest), Some(index - 64));
    }
}

const ROWS: u64 = 100_000;

/// A number that looks random.
fn mix(seed: u64) -> u64 {
    let a = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 32)
}

fn map_look_up(keys: u64) {
    let map: SharedMap<u64, u64> = (0..ROWS).map(|row| (mix(row), row)).collect();
    let found = (0..keys).filter(|key| !map.get(&black_box(mix(key % ROWS))).is_empty());
    assert_eq!(found.count() as u64, keys);
}

fn slice_look_up(places: u64) {
    let slice: Shared<[u64]> = (0..ROWS).collect::<Vec<_>>().into();
    let found = (0..places).filter(|place| slice[black_box(place % ROWS) as usize] == place % ROWS);
    assert_eq!(found.count() as u64, places);
}

/// Opens a file with one section of a MiB again and again.
fn open_each(times: u64, verify: Verify) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("numbers.plim");
    Shared::<[u64]>::write(&path, &vec![7; MIB as usize / 8]).expect("there is room for a file");
    for _ in 0..times {
        black_box(SharedFile::open_with(&path, verify).expect("it is whole"));
    }
}

fn open(files: u64) {
    open_each(files, Verify::Header);
}

fn verify(files: u64) {
    open_each(files, Verify::Payload);
}
