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
    let elapsed = Duration::from_secs(10);
    Report { elapsed, cores: 2, by_variable: true, stages, sink_busy, ..Report::default() }
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
        "screen is limited by its 2 workers, which is all it asks for; the cores would carry 4: \
         workers(4), or PLIMSOLL_WORKERS_SCREEN=4"
    );
    report.by_variable = false;
    assert!(suggested(&report).ends_with(" carry 4: workers(4)"), "no variable is heard");
    report.machine_cores = Some(2);
    assert_eq!(
        suggested(&report),
        "screen is limited by its 2 workers; a quicker one would help",
        "there are but two cores"
    );
    report.stages[1].asked = 8;
    report.stages[1].more = Some((4, (31 << 30) / 10));
    assert_eq!(
        suggested(&report),
        "screen is limited by memory: 2 of 8 workers fit; 3.1 GiB more would carry 4"
    );
}

#[test]
fn a_stage_that_waits_is_told_to_have_more_workers_than_cores() {
    let mut report = ten_seconds([16, 4], 0, 0);
    report.stages[0].on_core = Some((0.1, 0.02));
    let told = report.bottleneck();
    let held = "parse: its calls hold the cores and waited for 88 % of their time";
    assert_eq!(told.as_deref(), Some(held));
    assert_eq!(
        suggested(&report),
        "calls of parse waited for 88 % of their time: if for a disk or a network, more workers, \
         which hold no core, would help: waits().workers(8), or PLIMSOLL_WORKERS_PARSE=8; if for a \
         lock that they share, they would not"
    );
    report.by_variable = false;
    assert!(
        suggested(&report).contains("would help: waits().workers(8); if for a lock"),
        "{report}"
    );
    report.by_variable = true;
    report.stages[0].on_core = Some((0.35, 0.05));
    assert!(suggested(&report).contains(" PLIMSOLL_WORKERS_PARSE=5;"), "{report}");
    report.stages[0].on_core = Some((0.6, 0.2));
    assert_eq!(suggested(&report), "more cores would help, or a quicker parse");
    let mut many = ten_seconds([1, 119], 0, 0);
    (many.stages[1].workers, many.stages[1].on_core) = (12, Some((0.05, 0.0)));
    many.stages[1].waits = true;
    let held = many.bottleneck();
    let busy = "screen: its 12 workers were busy 99 % of the time";
    assert_eq!(held.as_deref(), Some(busy), "it holds no core, so the cores do not limit it");
    let told = suggested(&many);
    assert!(told.contains(" more of them would help: workers(40), or PLIMSOLL_WORKERS_"), "{told}");
    many.stages[1].in_one_go = true;
    let told = suggested(&many);
    assert!(
        told.starts_with("calls of screen and of what runs in one go with it waited"),
        "{told}"
    );
    (many.stages[1].workers, many.stages[1].busy) = (2, Duration::from_secs(19));
    (many.cores, many.stages[1].waits) = (4, false);
    let told = suggested(&many);
    assert!(
        told.contains(" would help: waits().workers(16), or"),
        "rather than one a core: {told}"
    );
    // As many as keep the cores busy, beside what they wait for.
    (many.cores, many.stages[1].waits) = (2, true);
    (many.stages[1].workers, many.stages[1].on_core) = (16, Some((0.1, 0.02)));
    many.stages[1].busy = Duration::from_secs(158);
    assert_eq!(suggested(&many), "screen is limited by its 16 workers; a quicker one would help");
    many.stages[1].on_core = Some((0.1, 0.3));
    assert_eq!(
        suggested(&many),
        "screen is limited by its 16 workers, whose calls were ready for 30 % of their time and had \
         no core: cores with less else to do would help, more workers would not"
    );
}

#[test]
fn a_stage_that_says_it_waits_and_computes_is_told_so() {
    let mut report = ten_seconds([1, 79], 0, 0);
    (report.stages[1].workers, report.stages[1].waits) = (8, true);
    report.stages[1].on_core = Some((0.24, 0.74));
    assert_eq!(report.bottleneck().as_deref(), Some("the cores; screen takes 95 % of their time"));
    assert_eq!(
        suggested(&report),
        "more cores would help, or a quicker screen: its calls compute or are ready to for 98 % of \
         their time, and its 8 workers have 2 cores; one for each core, without waits(), would \
         be as fast"
    );
    report.stages[1].on_core = Some((0.23, 0.2));
    let told = suggested(&report);
    assert!(
        told.ends_with(
            "43 % of their time, and its 8 workers have 2 cores; more of them would \
                            not help"
        ),
        "{told}"
    );
    report.stages[1].on_core = None;
    let told = report.bottleneck();
    assert_eq!(
        told.as_deref(),
        Some("screen: its 8 workers were busy 99 % of the time"),
        "unknown"
    );
}

#[test]
fn as_many_workers_as_cores_are_the_cores() {
    // Others keep the cores busy, so that threads come late to them.
    let report = ten_seconds([1, 14], 0, 0);
    assert_eq!(report.bottleneck().as_deref(), Some("the cores; screen takes 93 % of their time"));
    let mut single = ten_seconds([1, 7], 0, 0);
    single.stages[1].workers = 1;
    assert_eq!(single.bottleneck().as_deref(), Some("screen, busy 70 % of the time"));
}

#[test]
fn cores_are_told_and_who_else_had_them() {
    assert_eq!(suggested(&ten_seconds([16, 4], 0, 0)), "more cores would help, or a quicker parse");
    let lacked = Report { cpu_time: Some(Duration::from_secs(8)), ..ten_seconds([16, 4], 0, 0) };
    assert_eq!(
        suggested(&lacked),
        "a quicker parse would help; calls had a core for only 40 % of their time, for the rest \
         others had it or they waited (disk, page faults, locks)"
    );
    let mut busy = lacked.clone();
    busy.stages.iter_mut().for_each(|stage| stage.on_core = Some((0.4, 0.59)));
    let told = suggested(&busy);
    let quiet =
        "a machine with less else to do, or a quicker parse; calls had a core for only 40 %";
    assert!(told.starts_with(quiet) && told.ends_with("for the rest others had it"), "{told}");
    let few = Report { machine_cores: Some(1), ..ten_seconds([16, 4], 0, 0) };
    let told = suggested(&few);
    assert!(told.ends_with("would help; the process may use 1 core, fewer than the budget's 2"));
    // Others had them: workers were free, and waited for nothing but a core.
    let mut shared = ten_seconds([8, 4], 0, 0);
    assert_eq!(shared.bottleneck(), None);
    shared.stages[0].waited_core = Duration::from_secs(12);
    shared.stages[1].waited_input = Duration::from_secs(9);
    let told = shared.bottleneck();
    assert_eq!(told.as_deref(), Some("the cores; parse takes 67 % of their time"));
    shared.stages[1].waited_input = Duration::from_secs(13);
    assert_eq!(shared.bottleneck(), None);
}

#[test]
fn where_nothing_limits_clearly_what_came_closest_is_told() {
    let mut report = ten_seconds([6, 4], 0, 0);
    let told = "\nnot clearly limited: calls held the cores for 50 % of the time, the 2 workers of \
                parse had work for 30 %\n";
    assert!(report.to_string().ends_with(told), "{report}");
    let mut page = Vec::new();
    report.write_html(&mut page).expect("memory takes all");
    let page = String::from_utf8(page).expect("it is text");
    assert!(
        page.contains("<p class=\"limit\">Not clearly limited: calls held the cores"),
        "{page}"
    );
    report.sink_busy = Duration::from_secs(4);
    let text = report.to_string();
    assert!(
        text.contains("the cores for 70 % of the time, the sink had work for 40 %\n"),
        "{text}"
    );
    report.sink_busy = Duration::from_secs(6);
    assert!(
        report.to_string().contains("\nlimited by the sink, busy 60 % of the time\n"),
        "{report}"
    );
    let short = Report { elapsed: Duration::from_millis(90), ..ten_seconds([0, 0], 0, 0) };
    assert!(!short.to_string().contains("limited"), "{short}");
}

#[test]
fn ends_are_told_by_name_and_whether_they_wait() {
    let sink = suggested(&ten_seconds([1, 1], 0, 9));
    assert!(sink.starts_with("one thread at a time is in the sink: what it does beside"), "{sink}");
    let mut source = Report { source_busy: Duration::from_secs(9), ..ten_seconds([1, 1], 0, 0) };
    let told = suggested(&source);
    assert!(told.starts_with("one thread at a time is in the source: what it does"), "{told}");
    source.cpu_time = Some(Duration::from_secs(4));
    let told = suggested(&source);
    let waited = "the source reads as fast as its device, network or peer lets it: it waited for \
                  56 % of that time at the least;";
    assert!(told.starts_with(waited), "{told}");
    source.cpu_time = Some(Duration::from_secs(5));
    assert!(suggested(&source).starts_with("one thread at a time"), "it may have computed");
    assert_eq!(ten_seconds([1, 1], 0, 0).suggestion(), None);
}

#[test]
fn a_declaration_that_is_far_too_large_is_told_rather_than_more_memory() {
    let mut report = ten_seconds([1, 19], 0, 0);
    report.cores = 4;
    report.stages[1].asked = 8;
    report.stages[1].more = Some((4, 400 << 20));
    report.stages[1].per_worker = 400 << 20;
    report.memory.peak_real = Some((17 << 20) + 1);
    assert_eq!(
        suggested(&report),
        "screen declares 400.0 MiB for each worker, and the process never held more than 17.0 MiB, \
         mapped files aside: declare less, per_worker(18 * MIB) at the most, or \
         PLIMSOLL_FOOTPRINT_SCREEN=18MiB"
    );
    report.by_variable = false;
    assert!(suggested(&report).ends_with("per_worker(18 * MIB) at the most"), "none is heard");
    report.memory.peak_real = Some(192 << 20);
    assert!(suggested(&report).ends_with("400.0 MiB more would carry 4"), "that proves nothing");
    report.memory.light_worker = Some(("screen".to_owned(), 2 << 20, 400 << 20));
    let idle = "screen declares 400.0 MiB for a worker and its call, and the first call of one, which \
                builds what it keeps, touched 2.0 MiB: if it keeps no more, declare less";
    assert!(suggested(&report).starts_with(idle), "{report}");
    let mut hungry = ten_seconds([4, 10], 10, 0);
    hungry.memory.peak_real = Some(20 << 20);
    hungry.stages[0].shared = 100 << 20;
    let told = suggested(&hungry);
    assert!(told.starts_with("parse declares 100.0 MiB, and the process never"), "{told}");
    assert!(told.ends_with("declare less, shared(20 * MIB) at the most"), "{told}");
}

#[test]
fn a_reserve_that_nobody_needs_is_told() {
    let mut report = Report { line: 512 << 20, ..ten_seconds([4, 10], 10, 0) };
    (report.reserve, report.largest_step) = (256 << 20, (8 << 20) + 24);
    assert_eq!(
        suggested(&report),
        "256.0 MiB of the line's 512.0 MiB are kept for the oldest item, and none needed more than \
         8.0 MiB: declare largest_item(9 * MIB), if none does, and the others have the rest"
    );
    report.largest_step = 120 << 20;
    assert!(suggested(&report).contains("a larger budget would let more"), "{report}");
}

#[test]
fn memory_that_items_wait_for_is_traced_to_its_cause() {
    let mut report = Report { line: 64 << 20, ..ten_seconds([4, 10], 10, 0) };
    let told = suggested(&report);
    assert!(told.starts_with("screen is limited by memory: its items wait for their part of the"));
    assert!(told.contains("the line, 64.0 MiB; a larger budget"), "{told}");
    assert!(told.ends_with("a larger budget would let more of them aboard"), "{told}");
    let mut many = report.clone();
    // Two cores, and a stage that waits; another keeps something.
    (many.stages[1].waits, many.stages[1].workers) = (true, 60);
    many.stages[1].waited_memory = Duration::from_secs(300);
    (many.largest_step, many.stages[0].per_worker) = (2 << 20, 15 << 20);
    let number = "; 60.0 MiB more would let all 62 calls that may be at work at once have as much as \
                  the one that needed most, 2.0 MiB";
    let told = suggested(&many);
    assert!(told.ends_with(number), "{told}");
    many.stages[0].per_worker = 16 << 20;
    let told = suggested(&many);
    let keeps = "; fewer workers of parse, which keep 16.0 MiB each, would leave them more";
    assert!(told.ends_with(&format!("{number}{keeps}")), "{told}");
    (many.largest_step, many.reserve) = (2 << 20, 8 << 20);
    assert!(suggested(&many).contains("more of them aboard;"), "it may have been several together");
    many.largest_step = 1 << 20;
    let told = suggested(&many);
    assert!(told.ends_with(&format!("more of them aboard{keeps}")), "{told}");
    report.memory.light = Some(("screen".to_owned(), 1 << 20, 9 << 20));
    let told = suggested(&report);
    assert!(told.contains("was granted 9.0 MiB and touched 1.0 MiB at most"), "{told}");
    report.stages[1].waited_real = Duration::from_secs(8);
    report.memory.peak_drift = 70 << 20;
    let told = suggested(&report);
    let beyond = "screen is limited by real memory: 70.0 MiB of it were beyond what is declared; ";
    assert!(told.starts_with(&format!("{beyond}declare what is missing, or have the")), "{told}");
    report.memory.heavy_worker = Some(("model".to_owned(), 70 << 20, 0));
    let told = suggested(&report);
    assert!(told.starts_with(&format!("{beyond}declare per_worker(70 * MIB) for model")), "{told}");
}

#[test]
fn what_is_declared_too_small_is_what_helps() {
    let heavy = Some(("model".to_owned(), 100 << 20, 1 << 20));
    let memory = MemoryReport { heavy_worker: heavy, peak_drift: 99 << 20, ..Default::default() };
    let mut quiet = Report { memory, ..ten_seconds([1, 1], 0, 0) };
    let declare = "declare per_worker(100 * MIB) for model, or PLIMSOLL_FOOTPRINT_MODEL=100MiB";
    assert_eq!((quiet.bottleneck(), suggested(&quiet)), (None, declare.to_owned()));
    let mut page = Vec::new();
    quiet.write_html(&mut page).expect("memory takes all");
    let page = String::from_utf8(page).expect("it is text");
    assert!(page.contains(" <span>What helps: declare per_worker("), "{page}");
    quiet.stages[0].busy = Duration::from_secs(19);
    assert!(suggested(&quiet).starts_with("more cores"), "it stays in the budget");
    quiet.memory.beyond = 1;
    assert_eq!(suggested(&quiet), declare);
}

#[test]
fn the_text_of_a_report_ends_with_what_would_help() {
    let text = ten_seconds([1, 1], 0, 9).to_string();
    let (_, end) = text.split_once("\n\nlimited by ").expect("it is told");
    assert!(
        end.starts_with("the sink, busy 90 % of the time\nwhat helps: one thread at a time is in"),
        "{end}"
    );
}

/// A run that its window of four items held up for six of ten seconds.
fn shut(turn: u64) -> Report {
    let (waited_window, waited_turn) = (Duration::from_secs(6), Duration::from_secs(turn));
    Report { window: 4, waited_window, waited_turn, ..ten_seconds([4, 1], 0, 0) }
}

#[test]
fn a_window_that_is_too_small_is_told_and_what_it_takes() {
    let mut report = shut(3);
    let text = report.to_string();
    let (_, end) = text.split_once("\n\nlimited by ").expect("it is told");
    assert_eq!(
        end,
        "the window of 4 items: for 60 % of the time it was full and workers had nothing to do\n\
         what helps: it takes window(16) or more to keep the cores at work\n",
        "they were at work for a quarter of the time"
    );
    report.stages.iter_mut().for_each(|stage| stage.waits = true);
    let more = "it takes window(20) or more to keep the 2 workers of parse at work";
    assert_eq!(suggested(&report), more, "the cores had nothing to do");
    report.source_busy = Duration::from_secs(4);
    assert_eq!(suggested(&report), "it takes window(10) or more to keep the source at work");
    report.window = 1;
    let told = report.bottleneck().unwrap_or_default();
    assert!(told.starts_with("the window of 1 item: for 60 %"), "{told}");
    let nothing = Report { source_busy: Duration::ZERO, stages: Vec::new(), ..shut(0) };
    assert_eq!(nothing.bottleneck(), None, "nobody had anything to do");
}

#[test]
fn what_waits_for_the_turn_of_an_older_item_is_told_as_such() {
    let report = shut(4);
    let told = "the window of 4 items: for 60 % of the time it was full and most of what was aboard \
                was done and waited for the turn of an older item";
    assert_eq!(report.bottleneck().as_deref(), Some(told));
    assert_eq!(
        suggested(&report),
        "outputs are ordered, so one slow item holds up what is done behind it: it takes window(16) \
         or more to keep the cores at work, or a run without `ordered`"
    );
}

#[test]
fn the_window_is_told_where_nothing_else_holds_the_run_up_for_as_long() {
    let told = |report: &Report| report.bottleneck().unwrap_or_default();
    let mut report = shut(0);
    report.waited_window = Duration::from_millis(2_500);
    assert_eq!(told(&report), "", "for a quarter of the time");
    let mut hungry = shut(0);
    hungry.stages[1].waited_memory = Duration::from_secs(11);
    assert!(told(&hungry).starts_with("the window"), "{hungry}");
    hungry.stages[1].waited_memory = Duration::from_secs(13);
    assert!(told(&hungry).starts_with("memory"), "{hungry}");
    hungry.sink_busy = Duration::from_millis(9_500);
    assert!(told(&hungry).starts_with("the sink"), "{hungry}");
    let mut half = shut(0);
    half.stages[1].busy = Duration::from_secs(12);
    assert!(told(&half).starts_with("the window"), "its workers had 60 % of the time: {half}");
    half.stages[1].busy = Duration::from_secs(16);
    assert!(told(&half).starts_with("the cores"), "{half}");
}
