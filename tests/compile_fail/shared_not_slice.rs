//! A shared array is a slice.

use plimsoll::{Element, Error, Shared, SharedFile};

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Row {
    key: u64,
}

impl Element for Row {
    const NAME: &'static str = "rows.Row v1";
}

fn main() -> Result<(), Error> {
    let _rows: Shared<Row> = Shared::open("rows.plim")?;
    let file = SharedFile::open("rows.plim")?;
    let _rows: Vec<Row> = file.get("rows")?;
    Ok(())
}
