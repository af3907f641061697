//! The class `Buffer`, which offers memory by the buffer protocol.
//!
//! For the stable interface, `PyO3` has the protocol only from Python 3.11 on, so the type is made here by
//! hand: a reference to a [`Memory`], its address and its size. Everything that decides anything is in
//! `memory.rs`.

#![expect(
    unsafe_code,
    reason = "a type with the slots of the buffer protocol is made by C functions"
)]

use std::{
    ffi::{CStr, c_int, c_uint, c_void},
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicI64, Ordering},
};

use pyo3::{
    exceptions::{PyImportError, PyTypeError},
    ffi::{self, Py_ssize_t},
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyTuple, PyType},
};

use crate::{
    memory::Memory,
    raw::{self, RawView},
};

const NAME: &CStr = c"mc_alloc.Buffer";
const DOC: &CStr = c"Bytes that are mapped for as long as this, or a view of it, is there.

Arenas return them, and a Pool is one. memoryview, numpy.asarray and torch.frombuffer see the bytes
without a copy. In a child that was forked since, a view is refused with OtherProcess; views that
were taken before point at memory that the child does not have.

>>> import mc_alloc
>>> buffer = mc_alloc.Arena(1 << 20, pages='off').allocate(4)
>>> memoryview(buffer)[:] = b'abcd'
>>> bytes(buffer), buffer.size
(b'abcd', 4)
";

/// An instance.
#[repr(C)]
struct Instance {
    head: ffi::PyObject,
    /// A reference to a [`Memory`] that the instance owns.
    memory: *mut ffi::PyObject,
    address: u64,
    size: Py_ssize_t,
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an instance has some tens of bytes"
)]
const INSTANCE_BYTES: c_int = size_of::<Instance>() as c_int;

#[expect(
    clippy::cast_possible_truncation,
    reason = "the flags in use are among the first 32"
)]
const FLAGS: c_uint = (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as c_uint;

/// Refuses every interpreter but the first: the class is made once, and belongs to it.
pub(crate) fn check_interpreter() -> PyResult<()> {
    /// The number of the first; -1 is none. It orders nothing, so `Relaxed`.
    static FIRST: AtomicI64 = AtomicI64::new(-1);
    // SAFETY: (1) a module is made by a thread that is attached, which has an interpreter.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: (1) it lives as long as this thread is attached.
    let own = unsafe { ffi::PyInterpreterState_GetID(interpreter) };
    let first = FIRST.compare_exchange(-1, own, Ordering::Relaxed, Ordering::Relaxed);
    match first {
        Err(first) if first != own => Err(PyImportError::new_err(
            "another interpreter of this process has mc_alloc, which serves one; use it there, or in another process",
        )),
        _ => Ok(()),
    }
}

/// Returns the class, which is made at the first call.
pub(crate) fn class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.get_or_try_init(py, || make_class(py))?;
    Ok(class.bind(py))
}

/// Makes a buffer of memory.
pub(crate) fn of(py: Python<'_>, memory: Memory) -> PyResult<Bound<'_, PyAny>> {
    class(py)?.call1((Bound::new(py, memory)?,))
}

fn make_class(py: Python<'_>) -> PyResult<Py<PyType>> {
    let member =
        |name: &'static CStr, type_code, offset: usize, doc: &'static CStr| ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code,
            offset: offset.cast_signed(),
            flags: ffi::Py_READONLY,
            doc: doc.as_ptr(),
        };
    let members = Box::new([
        member(
            c"address",
            ffi::Py_T_ULONGLONG,
            offset_of!(Instance, address),
            c"Address of the first byte.",
        ),
        member(
            c"size",
            ffi::Py_T_PYSSIZET,
            offset_of!(Instance, size),
            c"How many bytes there are.",
        ),
        ffi::PyMemberDef::default(),
    ]);
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot {
        slot,
        pfunc: function,
    };
    // The type refers to its members for ever.
    let members: &'static mut [ffi::PyMemberDef] = Box::leak(members);
    let mut slots = [
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_sq_length, length as *mut c_void),
        slot(raw::GET_BUFFER, get_buffer as *mut c_void),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: NAME.as_ptr(),
        basicsize: INSTANCE_BYTES,
        itemsize: 0,
        flags: FLAGS,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: (1) this thread is attached; (2) name, members and functions live for ever, and Python
    // copies the rest; (3) each function has the signature of its slot, the slots end with a zero, and
    // the members lie inside an instance of `basicsize` bytes.
    let class = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    // SAFETY: (1) a new reference, or null with an exception set.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, class) }?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

/// `Buffer.__new__(memory)`; a subclass takes other arguments by a `__new__` of its own.
unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: (1) Python calls with this thread attached.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: (1) Python passes a tuple and a dictionary or null, alive during the call.
    let arguments = unsafe { Bound::from_borrowed_ptr(py, arguments) };
    // SAFETY: (1) as above.
    let keywords = unsafe { Bound::from_borrowed_ptr_or_opt(py, keywords) };
    let memory = match memory_of(&arguments, keywords.as_ref()) {
        Ok(memory) => memory,
        Err(error) => {
            error.restore(py);
            return ptr::null_mut();
        }
    };
    // SAFETY: (1) the class is this type or one derived from it, whose slot makes instances of it with
    // all bytes behind the head zero.
    let instance = unsafe { ffi::PyType_GenericAlloc(class, 0) };
    if instance.is_null() {
        return instance;
    }
    let (address, size) = (memory.get().address(), memory.get().size());
    let fields = instance.cast::<Instance>();
    // SAFETY: (1) a new instance begins with an `Instance`, and nobody else has seen it.
    unsafe {
        (*fields).memory = memory.into_ptr();
    }
    // SAFETY: (1) as above.
    unsafe {
        (*fields).address = address as u64;
    }
    // SAFETY: (1) as above.
    unsafe {
        (*fields).size = size.cast_signed();
    }
    instance
}

fn memory_of<'py>(
    arguments: &Bound<'py, PyAny>,
    keywords: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, Memory>> {
    let has_keywords = match keywords {
        Some(keywords) => !keywords.cast::<PyDict>()?.is_empty(),
        None => false,
    };
    let arguments = arguments.cast::<PyTuple>()?;
    if has_keywords || arguments.len() != 1 {
        return Err(refusal());
    }
    let memory = arguments.get_item(0)?;
    memory.cast_into::<Memory>().map_err(|_| refusal())
}

fn refusal() -> PyErr {
    PyTypeError::new_err("buffers are made by Arena.allocate and Pool, not by hand")
}

unsafe extern "C" fn dealloc(instance: *mut ffi::PyObject) {
    // SAFETY: (1) Python passes an instance that is referred to no more.
    let memory = unsafe { (*instance.cast::<Instance>()).memory };
    // SAFETY: (1) the instance owned the reference, or is half made and has none.
    unsafe { ffi::Py_XDECREF(memory) };
    // SAFETY: (1) the instance has its type until it is freed.
    let class = unsafe { ffi::Py_TYPE(instance) };
    // SAFETY: (1) every type has a function that frees its instances.
    let free = unsafe { ffi::PyType_GetSlot(class, ffi::Py_tp_free) };
    // SAFETY: (1) that is the signature of the slot.
    let free: ffi::freefunc = unsafe { std::mem::transmute(free) };
    // SAFETY: (1) nothing refers to the instance, and it is freed once.
    unsafe { free(instance.cast()) };
    // SAFETY: (1) an instance of a type on the heap owns a reference to it, given up last.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn length(instance: *mut ffi::PyObject) -> Py_ssize_t {
    // SAFETY: (1) Python passes an instance.
    unsafe { (*instance.cast::<Instance>()).size }
}

/// Lends the bytes for as long as the view lives, which owns a reference to the instance.
unsafe extern "C" fn get_buffer(
    instance: *mut ffi::PyObject,
    view: *mut RawView,
    flags: c_int,
) -> c_int {
    // SAFETY: (1) Python calls with this thread attached.
    let py = unsafe { Python::assume_attached() };
    let fields = instance.cast::<Instance>();
    // SAFETY: (1) Python passes an instance, whose memory is set when it is made.
    let memory = unsafe { Bound::from_borrowed_ptr(py, (*fields).memory) };
    let memory = memory.cast::<Memory>().map_err(PyErr::from);
    let checked = memory.and_then(|memory| {
        memory.get().check()?;
        Ok((memory.get().address(), memory.get().size()))
    });
    let (address, size) = match checked {
        Ok(range) => range,
        Err(error) => {
            error.restore(py);
            return -1;
        }
    };
    let start = ptr::with_exposed_provenance_mut(address);
    // SAFETY: (1) Python passes a view to be filled; (2) the bytes are mapped as long as the memory
    // lives, to which the instance refers, to which the view will.
    unsafe { raw::PyBuffer_FillInfo(view, instance, start, size.cast_signed(), 0, flags) }
}
