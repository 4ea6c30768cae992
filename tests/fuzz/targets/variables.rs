//! An environment, one `NAME=value` a line.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll::fuzzing::variables(data));
