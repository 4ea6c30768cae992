//! When advice, prefaulting and pinning pay: look-ups and scans of a mapped table that is on
//! the disk, and of the same table in memory.
//!
//! ```sh
//! cargo bench --bench advice                    # a table of 1 GiB, in the target directory
//! cargo bench --bench advice -- --mib 4096      # a larger one
//! cargo bench --bench advice -- --in /mnt/data  # on another disk
//! cargo bench --bench advice -- --quick         # 64 MiB, one round, to see that it runs
//! ```
//!
//! Each row is one way to get ready. For each figure the file is first dropped from the
//! page cache, mapped anew and made ready; medians of the rounds. Whether it was really gone
//! is told by the major faults, the look-ups that waited for the disk.
//!
//! | column | tells |
//! |---|---|
//! | ready | milliseconds that getting ready takes |
//! | first | milliseconds until the first thousand look-ups at random are done, getting ready included |
//! | many | the same for as many look-ups as a quarter of the pages |
//! | waited | look-ups of these that waited for the disk |
//! | scan | GiB a second of one pass from the beginning to the end, getting ready included |
//! | warm | nanoseconds of a look-up at random when all is in memory |

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: only Linux can be asked to forget one file");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;
    use std::fs::{self, File};
    use std::hint::black_box;
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    use plimsoll::{Advice, MIB, Shared, SharedFile, Verify};
    use rustix::fs::{Advice as CacheAdvice, fadvise};

    const SECTION: &str = "rows";
    /// Numbers of a page.
    const PAGE: usize = 512;
    const FIRST: usize = 1_000;
    const WARM: usize = 4_000_000;

    type Outcome<T> = Result<T, Box<dyn Error>>;

    /// A way to get ready.
    #[derive(Clone, Copy)]
    enum Way {
        Advised(Advice),
        /// Told to expect look-ups at random, and then brought in.
        Prefaulted,
        Pinned,
        /// Copied to the heap, with huge pages or as it comes.
        Loaded {
            huge: bool,
        },
    }

    const WAYS: [(&str, Way); 9] = [
        ("normal", Way::Advised(Advice::Normal)),
        ("random", Way::Advised(Advice::Random)),
        ("sequential", Way::Advised(Advice::Sequential)),
        ("will need", Way::Advised(Advice::WillNeed)),
        ("huge pages", Way::Advised(Advice::HugePages)),
        ("prefault", Way::Prefaulted),
        ("pin", Way::Pinned),
        ("load", Way::Loaded { huge: false }),
        ("load, huge pages", Way::Loaded { huge: true }),
    ];

    impl Way {
        fn get_ready(self, path: &Path) -> Outcome<SharedFile> {
            let file = match self {
                Self::Loaded { .. } => SharedFile::load(path)?,
                _ => SharedFile::open_with(path, Verify::Header)?,
            };
            match self {
                Self::Advised(advice) => drop(file.advise(SECTION, advice)?),
                Self::Prefaulted => file.prefault([SECTION])?.wait()?,
                Self::Pinned => file.pin()?,
                Self::Loaded { huge: true } => drop(file.advise(SECTION, Advice::HugePages)?),
                Self::Loaded { huge: false } => {}
            }
            Ok(file)
        }
    }

    /// What is measured of one way in one round.
    #[derive(Clone, Copy)]
    struct Figures {
        ready: f64,
        first: f64,
        many: f64,
        waited: f64,
        scan: f64,
        warm: f64,
    }

    pub(super) fn main() -> Outcome<()> {
        let mut arguments: Vec<String> = std::env::args().skip(1).collect();
        let is_bench = take(&mut arguments, "--bench").is_some();
        // `cargo test` runs it, too, without a word.
        let quick = take(&mut arguments, "--quick").is_some() || !is_bench;
        let mut value = |name| {
            let at = take(&mut arguments, name)?;
            (at < arguments.len()).then(|| arguments.remove(at))
        };
        let size = value("--mib").map(|text| text.parse()).transpose()?;
        let folder =
            value("--in").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        if let Some(unknown) = arguments.first() {
            return Err(format!("{unknown} is not understood; see the head of the file").into());
        }
        let size = size.unwrap_or(if quick { 64 } else { 1_024 }) * MIB;
        let rounds = if quick { 1 } else { 5 };

        let folder = tempfile::tempdir_in(&folder)?;
        let path = folder.path().join("table.plim");
        let writer = SharedFile::create(&path)?;
        writer.slice(SECTION)?.fill(0..size / 8)?;
        writer.finish()?;
        println!("a table of {} MiB in {}, {rounds} rounds\n", size / MIB, folder.path().display());
        println!("| way | ready ms | first ms | many ms | waited | scan GiB/s | warm ns |");
        println!("|---|---|---|---|---|---|---|");
        for (name, way) in WAYS {
            let told = (0..rounds).map(|_| measure(way, &path)).collect::<Result<Vec<_>, _>>();
            match told {
                Ok(figures) => print(name, &figures),
                Err(why) => println!("| {name} | {why} |"),
            }
        }
        Ok(())
    }

    fn take(arguments: &mut Vec<String>, name: &str) -> Option<usize> {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.remove(at);
        Some(at)
    }

    fn print(name: &str, figures: &[Figures]) {
        let median = |figure: fn(&Figures) -> f64| {
            let mut all: Vec<_> = figures.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        println!(
            "| {name} | {:.1} | {:.1} | {:.0} | {:.0} | {:.2} | {:.1} |",
            median(|it| it.ready),
            median(|it| it.first),
            median(|it| it.many),
            median(|it| it.waited),
            median(|it| it.scan),
            median(|it| it.warm)
        );
    }

    fn measure(way: Way, path: &Path) -> Outcome<Figures> {
        // From the disk to the end of `work`: milliseconds until it was ready, and in all.
        let cold = |work: &dyn Fn(&[u64])| -> Outcome<(f64, f64)> {
            forget(path)?;
            let begun = Instant::now();
            let rows: Shared<[u64]> = way.get_ready(path)?.get(SECTION)?;
            let ready = begun.elapsed();
            work(&rows);
            Ok((ready.as_secs_f64() * 1e3, begun.elapsed().as_secs_f64() * 1e3))
        };
        let (ready, first) = cold(&|rows| look_up(rows, FIRST))?;
        let before = major_faults()?;
        let (_, many) = cold(&|rows| look_up(rows, rows.len() / PAGE / 4))?;
        let waited = (major_faults()? - before) as f64;
        let (_, scan) = cold(&|rows| {
            black_box(sum(rows));
        })?;
        let bytes = fs::metadata(path)?.len() as f64;
        let scan = bytes / f64::from(1 << 30) / (scan / 1e3);

        let rows: Shared<[u64]> = way.get_ready(path)?.get(SECTION)?;
        // Once, so that all is in memory, and in the page tables.
        black_box(sum(&rows));
        let begun = Instant::now();
        look_up(&rows, WARM);
        let warm = begun.elapsed().as_secs_f64() * 1e9 / WARM as f64;
        Ok(Figures { ready, first, many, waited, scan, warm })
    }

    /// Has the page cache forget a file that nobody has mapped.
    fn forget(path: &Path) -> Outcome<()> {
        let file = File::open(path)?;
        file.sync_all()?;
        Ok(fadvise(&file, 0, None, CacheAdvice::DontNeed)?)
    }

    /// One after the other: where it looks depends on what it found.
    fn look_up(rows: &[u64], times: usize) {
        let mut found = 1_u64;
        for _ in 0..times {
            let mixed = found.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x5bd1;
            let at = (u128::from(mixed) * rows.len() as u128) >> 64;
            found = rows[at as usize] ^ mixed;
        }
        black_box(found);
    }

    fn sum(rows: &[u64]) -> u64 {
        rows.iter().fold(0, |sum, row| sum ^ row)
    }

    /// How often this process waited for the disk because of a page that was not there.
    fn major_faults() -> Outcome<u64> {
        let text = fs::read_to_string("/proc/self/stat")?;
        // The name, in parentheses, may hold anything.
        let behind_name = text.rsplit(") ").next().unwrap_or_default();
        let faults = behind_name.split(' ').nth(9).ok_or("/proc/self/stat is not understood")?;
        Ok(faults.parse()?)
    }
}
