//! What a recorded run tells: a trace that reads back, a page that holds it all.

use std::collections::BTreeMap;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use plimsoll::{Budget, Footprint, KIB, MIB, Pipeline, Report, Stage};
use serde_json::Value;

/// A name that ends whatever it stands in, if it is not escaped.
const AWKWARD: &str = "align \"</script><b>'&\\";

/// A recorded run of 300 items, a third of which are filtered.
fn recorded() -> Report {
    let parse = Stage::cpu("parse").map(|n: u64| n);
    let align = Stage::memory(AWKWARD, Footprint::per_item(|_| 3 * KIB)).workers(2);
    let align = align.filter_map(|n: u64| {
        sleep(Duration::from_micros(100));
        (!n.is_multiple_of(3)).then_some(n)
    });
    let split = Stage::cpu("split").flat_map(|n: u64| [n, n]);
    let pipeline = Pipeline::new(parse.weigh(|_| 2 * KIB)).then(align).then(split);
    // So little that a single item is a good part of it.
    let pipeline = pipeline.build(&Budget::new(64 * KIB, 2)).expect("it fits");
    pipeline.job().record().run(0..300, drop).expect("nothing fails")
}

/// The events of a trace by their phase.
fn events(report: &Report) -> BTreeMap<String, Vec<Value>> {
    let mut text = Vec::new();
    report.write_trace(&mut text).expect("it was recorded");
    let trace: Value = serde_json::from_slice(&text).expect("it is JSON");
    let mut phases: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in trace["traceEvents"].as_array().expect("there are events") {
        for field in ["pid", "tid", "ts"] {
            assert!(event[field].is_number(), "{event}");
        }
        assert!(event["args"].is_object(), "{event}");
        let phase = event["ph"].as_str().expect("it has a phase").to_owned();
        phases.entry(phase).or_default().push(event.clone());
    }
    phases
}

fn name(event: &Value) -> &str {
    event["name"].as_str().expect("an event has a name")
}

#[test]
fn a_trace_tells_every_call_on_the_track_of_its_thread() {
    let report = recorded();
    let phases = events(&report);
    assert_eq!(phases.keys().collect::<Vec<_>>(), ["C", "M", "X"]);
    let (mut items, mut ends, mut times) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for event in &phases["X"] {
        let number = |value: &Value| value.as_f64().expect("a number");
        let begun = number(&event["ts"]);
        let end = ends.entry(event["tid"].as_u64()).or_insert(0.0);
        // Thousandths of a microsecond, written in decimals.
        assert!(begun > *end - 0.0001, "a thread does one thing at a time: {event}");
        *end = begun + number(&event["dur"]);
        assert!(*end <= report.elapsed().as_secs_f64() * 1e6, "{event}");
        *items.entry(name(event)).or_insert(0) += event["args"]["items"].as_u64().expect("items");
        *times.entry(name(event)).or_insert(0.0) += number(&event["dur"]);
        assert!(event["args"]["loops"].as_u64() >= Some(1), "{event}");
        let kind = match name(event) {
            "(source)" => "source",
            "(sink)" => "sink",
            _ => "stage",
        };
        assert_eq!(event["cat"], kind, "{event}");
    }
    let wanted =
        [("(source)", 300), ("parse", 300), (AWKWARD, 300), ("split", 200), ("(sink)", 400)];
    assert_eq!(items, BTreeMap::from(wanted));
    for stage in report.stages() {
        let busy = 1e6 * (stage.busy() + stage.set_up()).as_secs_f64();
        let told = times[stage.name()];
        assert!((told - busy).abs() < 0.001, "{told} us of {}, not {busy}", stage.name());
    }
    let named: Vec<_> = phases["M"].iter().filter(|event| name(event) == "thread_name").collect();
    assert_eq!(named.len(), report.threads(), "a track for each thread");
    assert!(ends.keys().all(|tid| named.iter().any(|event| event["tid"].as_u64() == *tid)));
}

#[test]
fn a_trace_counts_what_is_aboard() {
    let report = recorded();
    let phases = events(&report);
    let most = |wanted: &str, unit: &str| {
        let told = phases["C"].iter().filter(|event| name(event) == wanted);
        told.map(|event| event["args"][unit].as_u64().expect("a number")).max()
    };
    let aboard = most("aboard", "bytes").expect("it is counted");
    // One that is being called holds its own 2 KiB and the call's 3.
    assert!((5 * KIB..=report.line()).contains(&aboard), "{aboard}");
    assert!(aboard <= report.peak_reserved() + report.peak_overweight(), "{aboard}: {report}");
    assert_eq!(most("the line", "bytes"), Some(report.line()));
    // Whatever went on between two looks.
    assert!(aboard >= report.peak_reserved(), "{aboard}: {report}");
    assert_eq!(most("items aboard", "items"), Some(report.most_aboard()));
    assert!(most(&format!("before {AWKWARD}"), "items").is_some());
    assert!(most("before (sink)", "items").is_some());
    assert!(most("withheld", "bytes").is_some() && most("items", "items").is_none());
}

#[test]
fn a_run_that_was_not_recorded_has_no_trace() {
    let pipeline = Pipeline::new(Stage::cpu("x").map(|n: u64| n));
    let pipeline = pipeline.build(&Budget::new(MIB, 1)).expect("it fits");
    let report = pipeline.run(0..10, drop).expect("nothing fails");
    let mut written = Vec::new();
    let error = report.write_trace(&mut written).expect_err("there is nothing to write");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("job().record()"), "{error}");
    assert!(written.is_empty());
}

/// The page of a report as text.
fn page(report: &Report) -> String {
    let mut page = Vec::new();
    report.write_html(&mut page).expect("a vector takes all");
    String::from_utf8(page).expect("it is text")
}

/// Where the page's elements are not closed in the order in which they were opened, or a
/// text holds what only a tag may.
fn what_is_malformed(page: &str) -> Option<String> {
    let body = page.strip_prefix("<!doctype html>\n")?;
    let mut open = Vec::new();
    for piece in body.split('<').skip(1) {
        let Some((tag, text)) = piece.split_once('>') else {
            return Some(format!("<{piece} does not end"));
        };
        if text.contains('>') && open.last() != Some(&"style") {
            return Some(format!("{text:?} holds what ends a tag"));
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        match tag.strip_prefix('/') {
            Some(closed) if open.pop() != Some(closed) => {
                return Some(format!("</{closed}> closes nothing that is open: {open:?}"));
            }
            Some(_) => {}
            None if tag.matches('"').count() % 2 == 1 => {
                return Some(format!("<{tag}>: a quote is open"));
            }
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    (!open.is_empty()).then(|| format!("{open:?} are still open"))
}

#[test]
fn a_page_is_well_formed_and_asks_for_nothing() {
    let plain = Pipeline::new(Stage::cpu(AWKWARD).map(|n: u64| n));
    let plain = plain.build(&Budget::new(MIB, 1)).expect("it fits");
    let unrecorded = plain.run(0..10, drop).expect("nothing fails");
    for report in [recorded(), unrecorded] {
        let page = page(&report);
        assert_eq!(what_is_malformed(&page), None);
        for word in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<b>'"] {
            assert!(!page.contains(word), "{word}: {page}");
        }
        let name = "align &quot;&lt;/script&gt;&lt;b&gt;&#39;&amp;\\";
        assert!(page.contains(&format!(">{name}</th>")), "{page}");
    }
    assert!(what_is_malformed("<!doctype html>\n<p><b></p></b>").is_some());
}

#[test]
fn a_page_of_a_recorded_run_shows_every_stage_in_every_picture() {
    let report = recorded();
    let page = page(&report);
    let section = |title: &str| {
        let (_, after) = page.split_once(&format!("<h2>{title}</h2>")).expect(title);
        after.split("</section>").next().expect("a section ends")
    };
    for title in ["Where the time went", "Workers at work", "Waiting before", "The plan"] {
        for name in ["parse", "align &quot;", "split"] {
            let told = section(title).contains(name);
            // It runs in one go with the stage above.
            let shares_a_queue = title == "Waiting before" && name == "split";
            assert!(told || shares_a_queue, "{name} in {title}: {page}");
        }
    }
    assert!(section("Workers at work").contains(">(source)<"));
    let at_most = format!("<span class=\"told\">{} at most</span>", report.most_aboard());
    assert!(section("Aboard").contains(&at_most), "as the tile has it: {page}");
    assert!(section("Aboard").contains("<path class=\"limit\""), "{page}");
    assert!(section("The plan").contains("why so many workers"));
}

/// The mean of a row of the page.
fn mean(page: &str, name: &str) -> (f64, usize) {
    let (_, row) = page.split_once(&format!("title=\"{name}\">{name}</span>")).expect(name);
    let (_, told) = row.split_once("<span class=\"told\">").expect("a row has a figure");
    let (told, _) = told.split_once("</span>").expect("it ends");
    let (mean, of) = told.split_once(" of ").expect("so many of so many");
    (mean.parse().expect("a number"), of.parse().expect("a number"))
}

#[test]
fn a_page_tells_how_many_cores_had_work() {
    let nap = |n: u64| {
        sleep(Duration::from_millis(2));
        n
    };
    // Its calls take no core: there are more of them than cores.
    let fetch = Stage::memory("fetch", Footprint::none()).workers(4).map(nap);
    let pipeline =
        Pipeline::new(fetch).then(Stage::memory("embed", Footprint::none()).workers(1).map(nap));
    let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
    let page = page(&pipeline.job().record().run(0..100, drop).expect("nothing fails"));
    let (cores, of) = mean(&page, "cores");
    let ((fetch, _), (embed, _)) = (mean(&page, "fetch"), mean(&page, "embed"));
    assert_eq!(of, 2, "{page}");
    assert!(fetch > 0.4 && (cores - embed).abs() < 0.15, "{cores} {fetch} {embed}");
}

#[test]
fn a_page_is_headed_by_the_program_and_what_the_plan_notes() {
    let pipeline = Pipeline::new(Stage::cpu("x").map(|n: u64| n));
    let pipeline = pipeline.build(&Budget::new(1_000, 1)).expect("it fits");
    let page = page(&pipeline.job().record().run(0..10, drop).expect("nothing fails"));
    let [note] = pipeline.plan().notes() else { panic!("{}", pipeline.plan()) };
    assert!(page.contains(&format!("The plan notes: {note}.</p>")), "{page}");
    let (_, title) = page.split_once("<title>recording-").expect("the program's name");
    assert!(title.contains(": a run of 1 stage</title>"), "{title}");
    let (_, head) = page.split_once("<p class=\"hint\">recording-").expect("the program's name");
    assert!(head.lines().next().is_some_and(|line| line.ends_with(" UTC</p>")), "{page}");
    assert!(page.contains("<small>1 core, 2 threads"), "{page}");
}

#[test]
fn a_line_far_above_all_that_is_aboard_is_told_and_not_drawn() {
    let pipeline = Pipeline::new(Stage::cpu("x").map(|n: u64| n));
    let pipeline = pipeline.build(&Budget::new(1_024 * MIB, 1)).expect("it fits");
    let page = page(&pipeline.job().record().run(0..10, drop).expect("nothing fails"));
    assert!(page.contains("the line, 1.0 GiB, is far above"), "{page}");
    assert!(!page.contains("<path class=\"limit\""), "{page}");
}

#[test]
fn a_page_of_a_run_that_was_not_recorded_says_how_to_have_one() {
    let pipeline = Pipeline::new(Stage::cpu("x").map(|n: u64| n));
    let pipeline = pipeline.build(&Budget::new(MIB, 1)).expect("it fits");
    let page = page(&pipeline.run(0..10, drop).expect("nothing fails"));
    assert!(page.contains("job().record()") && !page.contains("<svg"), "{page}");
}
