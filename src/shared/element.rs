//! What a shared file can hold, and how it is named so that a file written by
//! one build is understood, or refused, by another.

use bytemuck::Pod;

use super::header::HEADER_BYTES;

/// The most bytes a type's name may have.
pub(super) const NAME_BYTES: usize = 128;

/// A type whose values can be the elements of a shared file.
///
/// Implemented for the integers of fixed size, for `f32` and `f64`, and for
/// arrays of elements. A type of one's own takes two lines, the derive of
/// [`bytemuck`] and a name:
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// # use plimsoll::Shared;
/// # let directory = std::env::temp_dir().join(format!("plimsoll-element-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("rows.plim");
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Row {
///     key: u64,
///     start: u32,
///     length: u32,
/// }
///
/// impl plimsoll::Element for Row {
///     const NAME: &'static str = "atlas.Row v1";
/// }
///
/// Shared::<[Row]>::write(&path, &[Row { key: 7, start: 0, length: 3 }])?;
/// let rows: Shared<[Row]> = Shared::open(&path)?;
/// assert_eq!(rows[0].key, 7);
///
/// let error = Shared::<[u64]>::open(&path).expect_err("rows are not numbers");
/// assert!(error.to_string().contains("another type: atlas.Row v1 is recorded, u64 asked for; "));
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
///
/// # The name is the contract
///
/// The file records the name, the size and the alignment of its elements, and
/// is opened only as elements that agree in all three. The name stands for the
/// meaning of the bytes: `u64`, `i64`, `f64` and `[u32; 2]` have the same size,
/// and only the name tells them apart. It is chosen by hand because nothing the
/// compiler offers lasts as long as a file does: `std::any::type_name` may
/// differ between compilers and changes when a type is moved to another module.
/// Two rules make the name reliable:
///
/// - begin it with the name of your crate, so that it is nobody else's;
/// - **change it whenever the fields change** (`v2`). Fields that trade places
///   or change their meaning while the size stays are not noticed otherwise.
///
/// # Limits, checked when the program is compiled
///
/// An element has at least one byte and an alignment of at most 4,096 bytes;
/// its name has 1 to 128 bytes of printable ASCII. A program that reads or
/// writes elements beyond these limits does not compile:
///
/// ```compile_fail
/// # use plimsoll::Shared;
/// let nothing: Shared<[[u64; 0]]> = Shared::open("nothing.plim").unwrap();
/// ```
///
/// `usize` and `isize` are not elements, because their size is not the same
/// everywhere; use `u64` and `i64`. `bool`, `char` and other enums are not
/// [`Pod`]: not every byte is one of their values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no element of a shared file",
    label = "has no name in files: `Element` is not implemented for it",
    note = "numbers of fixed size and arrays of them are elements; a type of your own becomes one \
            by `#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)] #[repr(C)]` and an \
            `impl plimsoll::Element` with a `NAME`",
    note = "see the documentation of `Element`, and the guide `From a big file to a shared table`"
)]
pub trait Element: Pod + Send + Sync {
    /// The name that files record, the same in every build for as long as the
    /// bytes mean the same.
    const NAME: &'static str;
}

macro_rules! elements {
    ($($number:ident)*) => {
        $(impl Element for $number { const NAME: &'static str = stringify!($number); })*
    };
}

elements!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);

impl<T: Element, const N: usize> Element for [T; N] {
    const NAME: &'static str = {
        let name: &'static Name = &ArrayOf::<T, N>::NAME;
        name.as_str()
    };
}

/// Where the name of an array type is put together, once per type.
struct ArrayOf<T, const N: usize>(std::marker::PhantomData<T>);

impl<T: Element, const N: usize> ArrayOf<T, N> {
    const NAME: Name = Name::EMPTY.text("[").text(T::NAME).text("; ").number(N).text("]");
}

/// A text built at compile time.
pub(super) struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl Name {
    pub(super) const EMPTY: Self = Self { bytes: [0; NAME_BYTES], length: 0 };

    const fn byte(mut self, byte: u8) -> Self {
        assert!(self.length < NAME_BYTES, "the name of the element is longer than 128 bytes");
        self.bytes[self.length] = byte;
        self.length += 1;
        self
    }

    pub(super) const fn text(mut self, text: &str) -> Self {
        let mut rest = text.as_bytes();
        while let [first, others @ ..] = rest {
            self = self.byte(*first);
            rest = others;
        }
        self
    }

    pub(super) const fn number(mut self, number: usize) -> Self {
        if number >= 10 {
            self = self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8)
    }

    pub(super) const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => panic!("a name is built of whole texts"),
        }
    }
}

/// What a file records of its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) size: u64,
    pub(super) align: u64,
}

impl Spec {
    /// The facts about `T`; refuses, at compile time, what a file cannot hold.
    pub(super) const fn of<T: Element>() -> Self {
        const { Self::checked::<T>() }
    }

    const fn checked<T: Element>() -> Self {
        assert!(size_of::<T>() > 0, "an element of a shared file has at least one byte");
        assert!(
            align_of::<T>() <= HEADER_BYTES,
            "an element of a shared file is aligned to at most 4096 bytes"
        );
        check_name(T::NAME);
        Self { name: T::NAME, size: size_of::<T>() as u64, align: align_of::<T>() as u64 }
    }

    /// The facts about an archive: bytes, to be aligned as its root is.
    #[cfg(feature = "rkyv")]
    pub(super) const fn archive(name: &'static str, align: usize) -> Self {
        assert!(align <= HEADER_BYTES, "an archive is aligned to at most 4096 bytes");
        check_name(name);
        Self { name, size: 1, align: align as u64 }
    }
}

/// Refuses, at compile time, a name that a file cannot hold.
const fn check_name(name: &str) {
    assert!(
        !name.is_empty() && name.len() <= NAME_BYTES,
        "the name of an element has 1 to 128 bytes"
    );
    let mut rest = name.as_bytes();
    while let [first, others @ ..] = rest {
        assert!(
            *first == b' ' || first.is_ascii_graphic(),
            "the name of an element is printable ASCII"
        );
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_types_of_one_size_apart() {
        assert_eq!(Spec::of::<u64>().name, "u64");
        assert_eq!(Spec::of::<i64>().name, "i64");
        assert_eq!(Spec::of::<[u32; 2]>().name, "[u32; 2]");
        assert_eq!(Spec::of::<[[f32; 16]; 1024]>().name, "[[f32; 16]; 1024]");
    }

    #[test]
    fn the_spec_carries_size_and_alignment() {
        let spec = Spec::of::<[u16; 5]>();
        assert_eq!((spec.size, spec.align), (10, 2));
    }
}
