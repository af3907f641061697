//! What a store counts, as a dict of numbers.

use mc_segment::SpaceStats;
use mc_store::{ObjectStore, TimeHistogram};
use pyo3::{prelude::*, types::PyDict};
use serde_json::Value;

use crate::errors;

/// Returns all counts of a store under flat names, quantiles of its histograms, and the space of its
/// segments.
///
/// The names follow from those of the fields, so that what the store counts tomorrow is here too.
pub(crate) fn dict<'py>(py: Python<'py>, store: &ObjectStore) -> PyResult<Bound<'py, PyDict>> {
    let (stats, space) = py.detach(|| (store.stats(), store.pool().stats().total));
    let dict = PyDict::new(py);
    let fields = serde_json::to_value(&stats).map_err(errors::error)?;
    flatten(&dict, "", &fields)?;
    quantiles(&dict, "lifetime", &stats.lifetime)?;
    quantiles(&dict, "idle_before_eviction", &stats.idle_before_eviction)?;
    quantiles(&dict, "reuse_gap", &stats.reuse_gap)?;
    space_of(&dict, &space)?;
    Ok(dict)
}

/// Adds numbers; those of a part have its name before theirs.
fn flatten(dict: &Bound<'_, PyDict>, prefix: &str, value: &Value) -> PyResult<()> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let name = match prefix {
                "" => name.clone(),
                prefix => format!("{prefix}_{name}"),
            };
            flatten(dict, &name, value)
        }),
        Value::Number(number) => match number.as_u64() {
            Some(count) => dict.set_item(prefix, count),
            None => dict.set_item(prefix, number.as_f64()),
        },
        _ => Ok(()),
    }
}

fn quantiles(dict: &Bound<'_, PyDict>, name: &str, histogram: &TimeHistogram) -> PyResult<()> {
    dict.set_item(format!("{name}_count"), histogram.count())?;
    for (suffix, share) in [("p50", 0.5), ("p99", 0.99)] {
        let time = histogram.quantile(share).unwrap_or_default();
        dict.set_item(format!("{name}_{suffix}_seconds"), time.as_secs_f64())?;
    }
    Ok(())
}

fn space_of(dict: &Bound<'_, PyDict>, space: &SpaceStats) -> PyResult<()> {
    dict.set_item("capacity_bytes", space.capacity)?;
    dict.set_item("placed_bytes", space.live_bytes)?;
    dict.set_item("free_bytes", space.free_bytes)?;
    dict.set_item("largest_hole", space.largest_hole)
}
