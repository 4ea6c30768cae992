//! Mistakes that must not compile, and what the compiler says about them.

/// The texts are those of the toolchain that the crate names as its floor; another
/// one may word them differently. `TRYBUILD=overwrite` writes them anew.
#[test]
fn mistakes_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
