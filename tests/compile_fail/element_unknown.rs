//! What a file holds has a name and no pointers.

use plimsoll::SharedFile;

struct Row {
    key: u64,
}

fn main() {
    let file = SharedFile::create("rows.plim").unwrap();
    let _ = file.slice::<Row>("rows");
}
