//! What values hold, for declarations that go by it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What a value holds, bytes: what [`Stage::weigh`](crate::Stage::weigh) and
/// [`weigh_source`](crate::PipelineBuilder::weigh_source) declare.
///
/// ```
/// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage, Weight};
///
/// let table: Vec<String> = ["load", "line"].map(str::to_owned).to_vec();
/// let words = Stage::memory("words", Footprint::shared(table.weight()))
///     .map(|line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
///     .weigh(Weight::weight);
/// let known = Stage::cpu("known")
///     .map(|words: Vec<String>| words.iter().filter(|word| table.contains(word)).count());
/// let pipeline = Pipeline::new(words)
///     .then(known)
///     .weigh_source(Weight::weight)
///     .build(&Budget::new(MIB, 1))?;
/// let report = pipeline.run(["the line".to_owned()], |count| assert_eq!(count, 1))?;
/// let most = report.peak_reserved() + report.peak_overweight();
/// assert!(most >= 3 * size_of::<String>() as u64, "a list, two texts, and what is in them");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A type of your own says what its fields own, or is weighed by a closure,
/// `.weigh(|read| size_of_val(read) as u64 + read.bases.heap_bytes())`:
///
/// ```
/// use plimsoll::Weight;
///
/// struct Read {
///     name: String,
///     bases: Vec<u8>,
///     quality: f64,
/// }
///
/// impl Weight for Read {
///     fn heap_bytes(&self) -> u64 {
///         self.name.heap_bytes() + self.bases.heap_bytes()
///     }
/// }
///
/// let read = Read { name: String::new(), bases: Vec::with_capacity(150), quality: 0.5 };
/// assert_eq!(read.weight(), size_of_val(&read) as u64 + 150);
/// # let _ = read.quality;
/// ```
///
/// It goes by capacities, not lengths. Elements that own something are asked one by one. A
/// reference owns nothing. Not told are hash maps and trees, whose size is the standard library's
/// own affair, and what an `Arc` or `Rc` leads to, which others may hold as well: weigh these by a
/// number of your own.
#[diagnostic::on_unimplemented(
    message = "how much a `{Self}` holds is not known",
    label = "`Weight` is not implemented for it",
    note = "weigh it by a closure that returns bytes, `|it| size_of_val(it) as u64 + ..`, or implement `plimsoll::Weight`, if it is yours"
)]
pub trait Weight {
    /// What the value owns behind pointers, bytes.
    fn heap_bytes(&self) -> u64;

    /// All that it holds: its own size and what it owns behind pointers, bytes.
    fn weight(&self) -> u64
    where
        Self: Sized,
    {
        size_of::<Self>() as u64 + self.heap_bytes()
    }

    /// What all of them own behind pointers. There is no need to write it; it is there so that a
    /// million numbers are not asked one by one.
    fn heap_bytes_of_all(all: &[Self]) -> u64
    where
        Self: Sized,
    {
        all.iter().map(Self::heap_bytes).sum()
    }
}

macro_rules! own_nothing {
    ($($kind:ty),*) => {$(
        impl Weight for $kind {
            fn heap_bytes(&self) -> u64 {
                0
            }

            fn heap_bytes_of_all(_: &[Self]) -> u64 {
                0
            }
        }
    )*};
}

own_nothing!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
own_nothing!(f32, f64, bool, char, (), Duration);

impl<T: ?Sized> Weight for &T {
    fn heap_bytes(&self) -> u64 {
        0
    }

    fn heap_bytes_of_all(_: &[Self]) -> u64 {
        0
    }
}

macro_rules! own_their_capacity {
    ($($kind:ty),*) => {$(
        impl Weight for $kind {
            fn heap_bytes(&self) -> u64 {
                self.capacity() as u64
            }
        }
    )*};
}

own_their_capacity!(String, OsString, PathBuf);

impl Weight for Box<str> {
    fn heap_bytes(&self) -> u64 {
        self.len() as u64
    }
}

impl<T: Weight> Weight for Box<T> {
    fn heap_bytes(&self) -> u64 {
        T::weight(self)
    }
}

impl<T: Weight> Weight for Box<[T]> {
    fn heap_bytes(&self) -> u64 {
        size_of_val::<[T]>(self) as u64 + T::heap_bytes_of_all(self)
    }
}

impl<T: Weight> Weight for Vec<T> {
    fn heap_bytes(&self) -> u64 {
        (self.capacity() * size_of::<T>()) as u64 + T::heap_bytes_of_all(self)
    }
}

impl<T: Weight> Weight for VecDeque<T> {
    fn heap_bytes(&self) -> u64 {
        let (front, back) = self.as_slices();
        let elements = T::heap_bytes_of_all(front) + T::heap_bytes_of_all(back);
        (self.capacity() * size_of::<T>()) as u64 + elements
    }
}

impl<T: Weight, const N: usize> Weight for [T; N] {
    fn heap_bytes(&self) -> u64 {
        T::heap_bytes_of_all(self)
    }

    fn heap_bytes_of_all(all: &[Self]) -> u64 {
        T::heap_bytes_of_all(all.as_flattened())
    }
}

impl<T: Weight> Weight for Option<T> {
    fn heap_bytes(&self) -> u64 {
        self.as_ref().map_or(0, T::heap_bytes)
    }
}

impl<T: Weight, E: Weight> Weight for Result<T, E> {
    fn heap_bytes(&self) -> u64 {
        self.as_ref().map_or_else(E::heap_bytes, T::heap_bytes)
    }
}

macro_rules! own_what_their_parts_own {
    ($(($($part:ident),*);)*) => {$(
        impl<$($part: Weight),*> Weight for ($($part,)*) {
            fn heap_bytes(&self) -> u64 {
                #[allow(non_snake_case, reason = "each part has the name of its type")]
                let ($($part,)*) = self;
                0 $(+ $part.heap_bytes())*
            }
        }
    )*};
}

own_what_their_parts_own! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
    (A, B, C, D, E, F);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_its_own_size_and_what_it_owns_by_capacity() {
        let word = String::with_capacity(100);
        assert_eq!((7_u64.weight(), word.weight()), (8, 24 + 100));
        assert_eq!("deep sea".weight(), 16, "the text is another's");
        assert_eq!(Vec::<u32>::with_capacity(10).weight(), 24 + 40);
        assert_eq!(PathBuf::with_capacity(30).weight(), 24 + 30);
        assert_eq!(Box::new(7_u16).weight(), 8 + 2);
        assert_eq!((Box::<str>::from("sea").weight(), ().weight()), (16 + 3, 0));
    }

    #[test]
    fn what_parts_own_is_owned_by_the_whole() {
        let words = || vec![String::with_capacity(5), String::with_capacity(7)];
        let heap = 2 * 24 + 12;
        assert_eq!(words().weight(), 24 + heap);
        assert_eq!(VecDeque::from(words()).heap_bytes(), heap);
        assert_eq!(words().into_boxed_slice().weight(), 16 + heap);
        assert_eq!(Some(words()).weight(), 24 + heap, "a `Vec` has room for `None`");
        assert_eq!([words(), words()].heap_bytes(), 2 * heap);
        assert_eq!(Vec::from([[words()], [words()]]).heap_bytes(), 2 * 24 + 2 * heap);
        assert_eq!((7, words(), "deep", Ok::<_, String>(words())).heap_bytes(), 2 * heap);
        assert_eq!(Err::<u64, _>(words()).heap_bytes(), heap);
        assert_eq!(None::<String>.heap_bytes(), 0);
        assert_eq!(Box::new(words()).heap_bytes(), 24 + heap);
    }

    #[test]
    fn a_deque_that_is_not_in_one_piece_is_weighed_in_both() {
        let mut words = VecDeque::from([String::with_capacity(3), String::with_capacity(4)]);
        words.rotate_left(1);
        words.push_front(String::with_capacity(5));
        assert!(!words.as_slices().1.is_empty(), "there are two pieces");
        assert_eq!(words.heap_bytes(), words.capacity() as u64 * 24 + 12);
    }
}
