use super::*;
use crate::report::MemoryReport;

/// Two stages of two workers on two cores for ten seconds.
fn ten_seconds(busy: [u64; 2], memory: u64, sink: u64) -> Report {
    let stage = |name: &str, busy| StageReport {
        name: name.to_owned(),
        workers: 2,
        busy: Duration::from_secs(busy),
        ..StageReport::default()
    };
    let mut stages = vec![stage("parse", busy[0]), stage("screen", busy[1])];
    stages[1].waited_memory = Duration::from_secs(memory);
    let sink_busy = Duration::from_secs(sink);
    Report { elapsed: Duration::from_secs(10), cores: 2, stages, sink_busy, ..Report::default() }
}

#[test]
fn the_bottleneck_is_what_everybody_waited_for() {
    let told = |report: Report| report.bottleneck().unwrap_or_default();
    assert_eq!(told(ten_seconds([4, 16], 0, 0)), "the cores; screen takes 80 % of their time");
    assert_eq!(
        told(ten_seconds([4, 10], 10, 0)),
        "memory: workers of screen waited for it 50 % of the time"
    );
    let mut tight = ten_seconds([4, 10], 10, 0);
    tight.stages[1].waited_real = Duration::from_secs(6);
    assert_eq!(told(tight), "real memory: workers of screen waited for it 50 % of the time");
    assert_eq!(told(ten_seconds([1, 1], 0, 9)), "the sink, busy 90 % of the time");
    assert_eq!(told(ten_seconds([1, 1], 0, 0)), "");
    let mut full = ten_seconds([1, 10], 0, 0);
    full.stages[1].workers = 1;
    full.stages[0].waited_memory = Duration::from_secs(15);
    assert_eq!(told(full), "screen, busy 100 % of the time", "more memory would not help");
    let mut single = ten_seconds([1, 9], 0, 0);
    single.stages[1].workers = 1;
    assert_eq!(told(single), "screen, busy 90 % of the time");
}

fn suggested(report: &Report) -> String {
    report.suggestion().unwrap_or_default()
}

#[test]
fn a_stage_that_is_always_busy_is_told_what_more_workers_take() {
    let mut report = ten_seconds([1, 12], 0, 0);
    report.cores = 4;
    report.stages[1].asked = 2;
    report.stages[1].busy = Duration::from_secs(19);
    assert_eq!(
        suggested(&report),
        "screen is limited by its 2 workers, which is all it asks for; the cores would carry 4"
    );
    report.machine_cores = Some(2);
    let told = suggested(&report);
    assert!(!told.contains("the cores would carry"), "there are but two: {told}");
    report.stages[1].asked = 8;
    report.stages[1].more = Some((4, (31 << 30) / 10));
    assert_eq!(
        suggested(&report),
        "screen is limited by memory: 2 of 8 workers fit; 3.1 GiB more would carry 4"
    );
    let mut waiting = ten_seconds([0, 9], 0, 0);
    waiting.stages[1].workers = 1;
    waiting.cores = 1;
    waiting.stages[1].busy = Duration::from_secs(8);
    assert_eq!(
        suggested(&waiting),
        "screen is limited by its 1 worker; if its calls wait rather than compute, more would help"
    );
}

#[test]
fn a_stage_that_waits_is_told_to_have_more_workers_than_cores() {
    let mut report = ten_seconds([16, 4], 0, 0);
    report.stages[0].on_core = Some((0.1, 0.02));
    assert_eq!(
        suggested(&report),
        "parse is limited by cores: all 2 are at work, and it takes 80 % of their time; its calls \
         waited for 88 % of their time rather than compute; more workers than cores, which then \
         hold none, would help: workers(8), or PLIMSOLL_WORKERS_PARSE=8"
    );
    report.stages[0].on_core = Some((0.35, 0.05));
    assert!(suggested(&report).ends_with("PLIMSOLL_WORKERS_PARSE=5"), "{report}");
    report.stages[0].on_core = Some((0.6, 0.2));
    assert!(suggested(&report).ends_with("more cores would help, or a quicker parse"), "{report}");
    let mut many = ten_seconds([1, 119], 0, 0);
    (many.stages[1].workers, many.stages[1].on_core) = (12, Some((0.05, 0.0)));
    assert_eq!(
        suggested(&many),
        "screen is limited by its 12 workers; its calls waited for 95 % of their time rather than \
         compute; more of them at a time would help: workers(40), or PLIMSOLL_WORKERS_SCREEN=40",
        "it holds no core, so the cores do not limit it"
    );
    many.stages[1].in_one_go = true;
    assert!(suggested(&many).contains("; what runs in one go there waited for 95 %"), "{many}");
    (many.stages[1].workers, many.stages[1].busy) = (2, Duration::from_secs(19));
    many.cores = 4;
    assert!(suggested(&many).ends_with("the cores would carry 4"), "{many}");
}

#[test]
fn cores_and_ends_are_told_by_name() {
    assert_eq!(
        suggested(&ten_seconds([16, 4], 0, 0)),
        "parse is limited by cores: all 2 are at work, and it takes 80 % of their time; more cores \
         would help, or a quicker parse"
    );
    let lacked = Report { cpu_time: Some(Duration::from_secs(8)), ..ten_seconds([16, 4], 0, 0) };
    assert_eq!(
        suggested(&lacked),
        "parse is limited by cores: all 2 are at work, and it takes 80 % of their time; a quicker \
         parse would help; calls had a core 40 % of their time"
    );
    let few = Report { machine_cores: Some(1), ..ten_seconds([16, 4], 0, 0) };
    let told = suggested(&few);
    assert!(told.ends_with("would help; the process may use 1 core, fewer than the budget's 2"));
    let sink = suggested(&ten_seconds([1, 1], 0, 9));
    assert!(sink.starts_with("the sink is the bottleneck: "), "{sink}");
    let source = Report { source_busy: Duration::from_secs(9), ..ten_seconds([1, 1], 0, 0) };
    let told = suggested(&source);
    assert!(told.starts_with("the source is the bottleneck: one thread reads"), "{told}");
    assert_eq!(ten_seconds([1, 1], 0, 0).suggestion(), None);
}

#[test]
fn memory_that_items_wait_for_is_traced_to_its_cause() {
    let mut report = Report { line: 64 << 20, ..ten_seconds([4, 10], 10, 0) };
    let told = suggested(&report);
    assert!(told.starts_with("screen is limited by memory: its items wait for their part of the"));
    assert!(told.contains("the line, 64.0 MiB; a larger budget"), "{told}");
    report.memory.light = Some(("screen".to_owned(), 1 << 20, 9 << 20));
    let told = suggested(&report);
    assert!(told.contains("was granted 9.0 MiB and touched 1.0 MiB at most"), "{told}");
    report.stages[1].waited_real = Duration::from_secs(8);
    report.memory.peak_drift = 70 << 20;
    let told = suggested(&report);
    assert!(told.starts_with("screen is limited by real memory: 70.0 MiB of it were beyond"));
}

#[test]
fn what_is_declared_too_small_is_what_helps() {
    let heavy = Some(("model".to_owned(), 100 << 20, 1 << 20));
    let memory = MemoryReport { heavy_worker: heavy, peak_drift: 99 << 20, ..Default::default() };
    let mut quiet = Report { memory, ..ten_seconds([1, 1], 0, 0) };
    let declare = "declare per_worker(100.0 MiB) for model, or set PLIMSOLL_FOOTPRINT_MODEL=100MiB";
    assert_eq!((quiet.bottleneck(), suggested(&quiet)), (None, declare.to_owned()));
    let mut page = Vec::new();
    quiet.write_html(&mut page).expect("memory takes all");
    let page = String::from_utf8(page).expect("it is text");
    assert!(page.contains("<p class=\"limit\"> <span>What helps: declare per_worker("), "{page}");
    quiet.stages[0].busy = Duration::from_secs(19);
    assert!(suggested(&quiet).starts_with("parse is limited by cores"), "it stays in the budget");
    quiet.memory.beyond = 1;
    assert_eq!(suggested(&quiet), declare);
}

#[test]
fn the_text_of_a_report_ends_with_what_would_help() {
    let text = ten_seconds([1, 1], 0, 9).to_string();
    let (_, end) = text.split_once("\n\nlimited by ").expect("it is told");
    assert!(
        end.starts_with("the sink, busy 90 % of the time\nwhat helps: the sink is the bottleneck"),
        "{end}"
    );
}
