//! Look-ups in one large array, held in different ways.

use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use memmap2::Mmap;
use plimsoll::{GIB, Shared, SharedWriter, Verify};

use crate::common::cores;
use crate::raw;
use crate::rounds::{Rival, Unit, compare};
use crate::scale::{Scale, random};

/// The ways to walk the array.
#[derive(Clone, Copy)]
enum Walk {
    /// Each place follows from a counter: look-ups overlap.
    Independent,
    /// Each place follows from what was found before: a look-up at a time.
    Chained,
    /// All numbers in their order.
    Through,
}

/// An array as its user has it at hand: every look-up goes through the handle.
trait Array: Sync {
    fn at(&self, place: usize) -> u64;
    fn sum(&self) -> u64;
}

macro_rules! arrays {
    ($($array:ty: $this:ident => $numbers:expr;)*) => {
        $(impl Array for $array {
            #[inline]
            fn at(&self, place: usize) -> u64 {
                let $this = self;
                $numbers[place]
            }
            #[inline]
            fn sum(&self) -> u64 {
                let $this = self;
                $numbers.iter().fold(0, |sum: u64, number| sum.wrapping_add(*number))
            }
        })*
    };
}

/// Mapped by hand. The cast looks at length and alignment each time, as it would for a user.
struct Raw(Mmap);

arrays! {
    Vec<u64>: this => this;
    Arc<Vec<u64>>: this => this;
    Shared<[u64]>: this => this;
    Raw: this => bytemuck::cast_slice::<u8, u64>(&this.0);
}

/// How far it goes.
#[derive(Clone, Copy)]
struct Way {
    walk: Walk,
    /// Look-ups of each thread.
    count: u64,
    threads: usize,
    /// Numbers in the array, a power of two.
    length: u64,
}

impl Way {
    fn of<A: Array>(self, array: &A, worker: usize) -> u64 {
        let Self { walk, count, length, .. } = self;
        let at = |n: u64| array.at((random(n) & (length - 1)) as usize);
        let start = (worker as u64) << 40;
        match walk {
            Walk::Independent => (start..start + count).map(at).fold(0, u64::wrapping_add),
            Walk::Chained => (start..start + count).fold(0, |found, n| at(n ^ found)),
            Walk::Through => array.sum(),
        }
    }
}

/// Threads that walk at once; the time from when the first begins until the last is there.
fn rival<'a, A: Array + 'a>(
    name: &str,
    way: Way,
    array_of: impl Fn(usize) -> &'a A + Sync + 'a,
) -> Rival<'a> {
    Rival::timed(name, move || {
        let ready = Barrier::new(way.threads);
        let work = |worker| {
            let array = black_box(array_of(worker));
            ready.wait();
            let begun = Instant::now();
            let found = black_box(way.of(array, worker));
            (begun, Instant::now(), found)
        };
        let work = &work;
        let done: Vec<_> = thread::scope(|scope| {
            let start = |worker| scope.spawn(move || work(worker));
            let threads: Vec<_> = (0..way.threads).map(start).collect();
            threads.into_iter().map(|thread| thread.join().expect("it only adds")).collect()
        });
        let first = done.iter().map(|(begun, ..)| *begun).min().expect("there is a thread");
        let last = done.iter().map(|(_, ended, _)| *ended).max().expect("there is a thread");
        let found = done.iter().fold(0, |sum: u64, (.., found)| sum.wrapping_add(*found));
        ((last - first).as_nanos() as f64, found)
    })
}

/// Writes the array, once for this crate and once bare.
fn write(folder: &Path, length: u64) {
    let mut shared = SharedWriter::create(folder.join("array.plim")).expect("a file can be made");
    let bare = std::fs::File::create(folder.join("array.raw")).expect("a file can be made");
    let mut bare = BufWriter::with_capacity(2 << 20, bare);
    for n in 0..length {
        let number = random(n ^ 1 << 63);
        shared.push(&number).expect("there is room on the disk");
        bare.write_all(bytemuck::bytes_of(&number)).expect("there is room on the disk");
    }
    shared.finish().expect("there is room on the disk");
    bare.flush().expect("there is room on the disk");
}

pub(crate) fn run(scale: &Scale) {
    let folder = scale.folder();
    let length = scale.part(GIB / 8);
    write(folder.path(), length);

    let path = folder.path().join("array.plim");
    let mapped: Shared<[u64]> = Shared::open_with(&path, Verify::Payload).expect("it is whole");
    let loaded: Shared<[u64]> = Shared::load(&path).expect("it is whole");
    let raw = Raw(raw::map(&folder.path().join("array.raw")));
    let arc = Arc::new(mapped.to_vec());
    let workers = cores().min(8);
    let copies: Vec<Vec<u64>> = (0..workers).map(|_| mapped.to_vec()).collect();

    let size = length * 8 / plimsoll::MIB;
    let walks = [
        ("independent look-ups", Walk::Independent, scale.part(1 << 26)),
        ("look-ups that wait for each other", Walk::Chained, scale.part(1 << 22)),
        ("a walk through", Walk::Through, length),
    ];
    for (what, walk, count) in walks {
        for threads in [1, workers] {
            let way = Way { walk, count, threads, length };
            let rivals = vec![
                rival("`Vec`", way, |_| &*arc),
                rival("`Arc<Vec>`", way, |_| &arc),
                rival("`Shared`, loaded", way, |_| &loaded),
                rival("**`Shared`, mapped**", way, |_| &mapped),
                rival("memmap2 by hand", way, |_| &raw),
                rival("a copy for each worker", way, |worker| &copies[worker]),
            ];
            let by = if threads == 1 { "one thread".into() } else { format!("{threads} threads") };
            let title = format!("{what}, {size} MiB, {by}, time of one");
            compare(&title, Unit::Each(count), scale.rounds(15), rivals);
        }
    }
}
