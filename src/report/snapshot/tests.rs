use super::*;
use crate::item::ItemId;

fn stage(name: &str, queued: u64, waits_for: WaitsFor) -> StageSnapshot {
    let name = name.to_owned();
    let (done, per_second) = (9, 0.5);
    let (workers, running, holds, takes_cores) = (3, 2, 3 << 20, true);
    StageSnapshot {
        name,
        workers,
        takes_cores,
        running,
        queued,
        done,
        per_second,
        holds,
        waits_for,
    }
}

#[test]
fn a_monitor_shows_what_was_published_last() {
    let monitor = Monitor::new();
    assert!(monitor.snapshot().is_none());
    for read in [11, 12] {
        monitor.clone().publish(Snapshot { read, ..Snapshot::default() });
    }
    assert_eq!(monitor.snapshot().map(|seen| seen.read()), Some(12));
}

#[test]
fn every_figure_is_told_by_its_name() {
    let stall = Stall {
        stage: "the sink".to_owned(),
        item: ItemId::new(13),
        items: 28,
        lasted: Duration::from_secs(15),
        came_back: true,
        holds: 14,
        beside: Beside::default(),
    };
    let snapshot = Snapshot {
        elapsed: Duration::from_secs(10),
        ended: true,
        read: 11,
        expected: Some(21),
        finished: 22,
        per_second: 0.25,
        aboard: 12,
        window: 20,
        delivered: 23,
        filtered: 24,
        failed: 25,
        cores: 26,
        computing: 27,
        source_waits_for: Some(WaitsFor::Turn),
        line: 16,
        held: 17,
        withheld: 18,
        real: Some(19),
        stages: vec![stage("align", 7, WaitsFor::Core)],
        stalls: vec![stall],
        stopping: None,
        limited_by: None,
    };
    assert_eq!(snapshot.elapsed(), Duration::from_secs(10));
    assert!(snapshot.has_ended());
    assert_eq!((snapshot.read(), snapshot.aboard()), (11, 12));
    assert_eq!((snapshot.expected(), snapshot.finished()), (Some(21), 22));
    assert_eq!((snapshot.per_second(), snapshot.window()), (0.25, 20));
    assert_eq!((snapshot.delivered(), snapshot.filtered(), snapshot.failed()), (23, 24, 25));
    assert_eq!((snapshot.cores(), snapshot.computing()), (26, 27));
    assert_eq!(snapshot.source_waits_for(), Some(WaitsFor::Turn));
    assert_eq!((snapshot.line(), snapshot.held()), (16, 17));
    assert_eq!((snapshot.withheld(), snapshot.real()), (18, Some(19)));
    let [stage] = snapshot.stages() else { panic!("{snapshot}") };
    assert_eq!((stage.name(), stage.workers(), stage.running()), ("align", 3, 2));
    assert_eq!((stage.queued(), stage.holds()), (7, 3 << 20));
    assert_eq!((stage.done(), stage.per_second()), (9, 0.5));
    assert_eq!(stage.waits_for(), WaitsFor::Core);
    let [stall] = snapshot.stalls() else { panic!("{snapshot}") };
    assert_eq!((stall.stage(), stall.item()), ("the sink", &ItemId::new(13)));
    assert_eq!((stall.lasted(), stall.holds()), (Duration::from_secs(15), 14));
    assert_eq!((stall.items(), stall.came_back()), (28, true));
}

#[test]
fn a_snapshot_reads_as_one_line_and_one_for_each_stage() {
    let mut snapshot = Snapshot { read: 9, line: 1 << 20, ..Snapshot::default() };
    snapshot.stages = vec![stage("parse", 0, WaitsFor::Nothing)];
    assert_eq!(
        snapshot.to_string(),
        "0.0 s: 9 read, 0 done with, 0.0 a second; 0 aboard, holding 0 B of 1.0 MiB\n\
         parse: 2 of 3 workers busy, 0 queued, 9 done, 0.5 a second, 3.0 MiB",
        "what does not hold is left out"
    );
    (snapshot.withheld, snapshot.real) = (1, Some(2));
    assert!(snapshot.to_string().contains("of 1.0 MiB (1 B withheld), 2 B real\n"));
    snapshot.source_waits_for = Some(WaitsFor::Window);
    let full = "; 0 aboard, as many as the window lets, holding 0 B of 1.0 MiB (1 B withheld)";
    assert!(snapshot.to_string().contains(full), "{snapshot}");
    let told = |waits_for: WaitsFor| waits_for.to_string();
    assert_eq!(told(WaitsFor::Core), "it waits for a core");
    assert_eq!(told(WaitsFor::RealMemory), "it waits for real memory");
}

#[test]
fn what_stages_wait_for_and_stalls_have_lines_of_their_own() {
    let stages = vec![stage("align", 7, WaitsFor::Nothing), stage("screen", 4, WaitsFor::Memory)];
    let mut snapshot = Snapshot { aboard: 5, window: 6, stages, ..Snapshot::default() };
    let (stage, item, lasted) = ("align".to_owned(), ItemId::new(3), Duration::from_millis(1_500));
    let beside = Beside::of("align", &snapshot);
    let (items, came_back, holds) = (1, false, 1 << 20);
    snapshot.stalls.push(Stall { stage, item, items, lasted, came_back, holds, beside });
    let text = snapshot.to_string();
    assert!(text.contains("\nscreen: 2 of 3 workers busy, 4 queued, 9 done, 0.5 a second, 3.0 MiB; it waits for memory\n"));
    assert!(text.contains("\nstalled: align has been at item 3 for 1.5 s, holding 1.0 MiB; "));
    let limit = "\nlimited by align, which has been at item 3 for 1.5 s";
    assert!(text.ends_with(limit), "at once, whatever was seen before: {text}");
}

#[test]
fn what_is_left_is_told_where_the_source_says_how_much_it_has() {
    let mut snapshot = Snapshot { finished: 10, per_second: 4.0, ..Snapshot::default() };
    assert_eq!(snapshot.remaining(), None);
    snapshot.expected = Some(30);
    assert_eq!(snapshot.remaining(), Some(Duration::from_secs(5)));
    snapshot.per_second = 0.0;
    assert_eq!(snapshot.remaining(), None, "it would be for ever");
}

#[test]
fn what_holds_a_run_up_is_named() {
    let idle = |name, waits_for| StageSnapshot { running: 0, ..stage(name, 0, waits_for) };
    let told = |stages: [StageSnapshot; 3]| {
        let source_waits_for = Some(WaitsFor::Nothing);
        let stages = stages.to_vec();
        Snapshot { cores: 4, computing: 2, source_waits_for, stages, ..Snapshot::default() }
    };
    let shown = |snapshot: &Snapshot| {
        let monitor = Monitor::new();
        monitor.publish(snapshot.clone());
        monitor.snapshot().expect("it was just published")
    };
    let limit = |snapshot: &Snapshot| shown(snapshot).bottleneck();
    let mut quiet = told(["a", "b", "c"].map(|name| idle(name, WaitsFor::Input)));
    assert_eq!(limit(&quiet).as_deref(), Some("the source, which everybody waits for"));
    quiet.source_waits_for = None;
    assert_eq!(limit(&quiet), None);

    let full = StageSnapshot { workers: 4, ..stage("b", 5, WaitsFor::Nothing) };
    let above = stage("a", 9, WaitsFor::Downstream);
    let below = idle("c", WaitsFor::Input);
    let mut busy = told([above.clone(), full, below]);
    let workers = "b: its 4 workers are at work, 5 items wait";
    assert_eq!(limit(&busy).as_deref(), Some(workers));
    let text = shown(&busy).to_string();
    assert!(text.contains("3.0 MiB; b has enough to do\n"), "{text}");
    assert!(text.ends_with("\nlimited by b: its 4 workers are at work, 5 items wait"), "{text}");
    busy.computing = 4;
    assert_eq!(limit(&busy).as_deref(), Some("the cores: a has 2.0 of 4, b 2.0"));
    busy.stages[1].workers = 3;
    let narrow = "b: its 3 workers are at work, 5 items wait";
    assert_eq!(limit(&busy).as_deref(), Some(narrow), "more cores would be of no use to it");
    busy.stages[1].workers = 5;
    busy.stages[1].takes_cores = false;
    let waiting = "b: its 5 workers are at work, 5 items wait";
    assert_eq!(limit(&busy).as_deref(), Some(waiting), "nor here");
    busy.ended = true;
    assert_eq!(limit(&busy), None);

    for (waits_for, named) in [
        (WaitsFor::Memory, "memory, which c waits for"),
        (WaitsFor::RealMemory, "real memory, which c waits for"),
        (WaitsFor::Consumer, "the consumer, who has not asked for more"),
    ] {
        let waiting = told([above.clone(), idle("b", WaitsFor::Input), stage("c", 1, waits_for)]);
        assert_eq!(limit(&waiting).as_deref(), Some(named));
    }
}

#[test]
#[cfg(feature = "serde")]
fn a_run_that_is_to_stop_says_so_to_programs() {
    let mut snapshot = Snapshot::default();
    snapshot.stop(StopReason::TimeLimit, Duration::from_millis(2_500));
    let value = serde_json::to_value(&snapshot).expect("it can be written");
    let told = serde_json::json!({ "reason": "time limit", "seconds": 2.5 });
    assert_eq!((&value["stopping"], &value["limited_by"]), (&told, &serde_json::Value::Null));
}
