//! Where objects are, as a transport or another process needs to know it.

#![expect(unsafe_code, reason = "a function of the caller is called")]

use std::{
    ffi::{CString, c_char, c_void},
    ptr,
};

use mc_segment::BufferDescriptor;

use crate::segment_options::SegmentNumber;

/// One piece of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Piece {
    /// Address of the first byte.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// Where a replica of an object is, or one part of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Description {
    /// The segment.
    pub segment: SegmentNumber,
    /// The incarnation of the segment's memory that has the bytes.
    pub epoch: u64,
    /// Address of the first byte: the base of the segment and what lies before it.
    pub address: u64,
    /// Bytes in all pieces.
    pub size: u64,
    /// The segment's protocol.
    pub protocol: *const c_char,
    /// The segment's endpoint.
    pub endpoint: *const c_char,
    /// The pieces in the order of the bytes; nearly always one.
    pub extents: *const Piece,
    /// How many pieces there are.
    pub extent_count: usize,
}

/// A function that is told where replicas are, one of them, or a part of one, with each call. What
/// `descriptor` points to is valid during the call.
///
/// It is called by the thread that passed it, without a lock, and may use the library. It must not
/// throw.
pub type DescriptorVisitor =
    Option<unsafe extern "C" fn(context: *mut c_void, descriptor: *const Description)>;

/// A descriptor with what it points to.
pub(crate) struct Told {
    description: Description,
    /// Behind the pointers of the description.
    _texts: [CString; 2],
    _extents: Vec<Piece>,
}

impl Told {
    pub(crate) fn new(descriptor: &BufferDescriptor) -> Self {
        let texts = [&descriptor.protocol, &descriptor.endpoint].map(|text| c_text(text));
        let extents = descriptor.extents.iter().map(|extent| Piece {
            address: extent.address,
            size: extent.size,
        });
        let extents: Vec<Piece> = extents.collect();
        let description = Description {
            segment: SegmentNumber::of(descriptor.segment),
            epoch: descriptor.epoch,
            address: descriptor.address,
            size: descriptor.size,
            protocol: texts[0].as_ptr(),
            endpoint: texts[1].as_ptr(),
            extents: extents.as_ptr(),
            extent_count: extents.len(),
        };
        Self {
            description,
            _texts: texts,
            _extents: extents,
        }
    }

    /// Returns the descriptor; what it points to is valid for as long as this is there.
    pub(crate) fn description(&self) -> Description {
        self.description
    }

    /// Returns the descriptor for as long as this is there.
    pub(crate) fn as_ptr(&self) -> *const Description {
        ptr::from_ref(&self.description)
    }
}

/// Tells descriptors to a function of the caller.
///
/// # Safety
///
/// `visit` may be called with `context`.
pub(crate) unsafe fn tell_descriptors(
    descriptors: &[BufferDescriptor],
    visit: unsafe extern "C" fn(*mut c_void, *const Description),
    context: *mut c_void,
) {
    for descriptor in descriptors {
        let told = Told::new(descriptor);
        // SAFETY: the caller's clause; the descriptor lives through the call.
        unsafe { visit(context, told.as_ptr()) };
    }
}

/// Returns a text as C has it, without zero bytes in it.
pub(crate) fn c_text(text: &str) -> CString {
    let text: String = text.chars().filter(|char| *char != '\0').collect();
    CString::new(text).unwrap_or_default()
}
