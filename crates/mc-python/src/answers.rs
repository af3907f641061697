//! What calls of a store return, as the dicts that `mc_alloc/_types.py` describes.

use mc_segment::BufferDescriptor;
use mc_store::{Moved, Shrunk, UnderReplicated, Unmounted};
use pyo3::{
    intern,
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

/// Returns where replicas are.
pub(crate) fn descriptors<'py>(
    py: Python<'py>,
    descriptors: &[BufferDescriptor],
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for descriptor in descriptors {
        let extents = PyList::empty(py);
        for extent in &descriptor.extents {
            let dict = PyDict::new(py);
            dict.set_item(intern!(py, "address"), extent.address)?;
            dict.set_item(intern!(py, "size"), extent.size)?;
            extents.append(dict)?;
        }
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "segment"), descriptor.segment.0)?;
        dict.set_item(intern!(py, "epoch"), descriptor.epoch)?;
        dict.set_item(intern!(py, "address"), descriptor.address)?;
        dict.set_item(intern!(py, "size"), descriptor.size)?;
        dict.set_item(intern!(py, "protocol"), &descriptor.protocol)?;
        dict.set_item(intern!(py, "endpoint"), &descriptor.endpoint)?;
        dict.set_item(intern!(py, "extents"), extents)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// Returns what an unmount did to the objects of a segment.
pub(crate) fn unmounted<'py>(
    py: Python<'py>,
    unmounted: &Unmounted,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("lost", keys(py, &unmounted.lost)?)?;
    dict.set_item("survivors", under_replicated(py, &unmounted.survivors)?)?;
    Ok(dict)
}

/// Returns the objects that have fewer replicas than were asked for.
pub(crate) fn under_replicated<'py>(
    py: Python<'py>,
    objects: &[UnderReplicated],
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for object in objects {
        let dict = PyDict::new(py);
        dict.set_item("key", PyBytes::new(py, &object.key))?;
        dict.set_item("readable", object.readable)?;
        dict.set_item("wanted", object.wanted)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// Returns what moving the objects of a segment did.
pub(crate) fn moved<'py>(py: Python<'py>, moved: &Moved) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("replicas", moved.replicas)?;
    dict.set_item("bytes", moved.bytes)?;
    dict.set_item("left", keys(py, &moved.left)?)?;
    Ok(dict)
}

/// Returns what giving up the end of a segment took.
pub(crate) fn shrunk<'py>(py: Python<'py>, shrunk: &Shrunk) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("moved_replicas", shrunk.moved.objects)?;
    dict.set_item("moved_bytes", shrunk.moved.bytes)?;
    dict.set_item("evicted_objects", shrunk.evicted.objects)?;
    dict.set_item("evicted_bytes", shrunk.evicted.bytes)?;
    dict.set_item("released_bytes", shrunk.released_bytes)?;
    Ok(dict)
}

/// Returns keys as bytes.
pub(crate) fn keys<'py>(py: Python<'py>, keys: &[Box<[u8]>]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, keys.iter().map(|key| PyBytes::new(py, key)))
}
