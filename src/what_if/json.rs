//! A prediction for other programs. The fields are in the documentation of [`Prediction`].

use serde::ser::{Serialize, Serializer};

use super::Prediction;
use crate::plan::Plan;

#[derive(serde::Serialize)]
struct Fields<'a> {
    items: u64,
    simulated_items: u64,
    elapsed_seconds: f64,
    items_per_second: f64,
    peak_bytes: u64,
    peak_reserved_bytes: u64,
    lacks_tables: bool,
    limited_by: Option<&'a str>,
    lacked_core: Option<f64>,
    plan: &'a Plan,
}

impl Serialize for Prediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields {
            items: self.items(),
            simulated_items: self.simulated(),
            elapsed_seconds: self.elapsed().as_secs_f64(),
            items_per_second: self.items_per_second(),
            peak_bytes: self.peak_bytes(),
            peak_reserved_bytes: self.peak_reserved(),
            lacks_tables: self.lacks_tables(),
            limited_by: self.bottleneck(),
            lacked_core: self.lacked(),
            plan: self.plan(),
        }
        .serialize(serializer)
    }
}
