//! What a type holds is not guessed.

use plimsoll::Stage;

struct Read {
    bases: Vec<u8>,
}

fn main() {
    let _ = Stage::cpu("read").map(|bases: Vec<u8>| Read { bases }).weigh(plimsoll::Weight::weight);
}
