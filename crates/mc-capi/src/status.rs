//! What a call returns.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use std::ffi::c_char;

/// What came of a call. `mc_error_message` tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[repr(C)]
pub enum Status {
    /// The call did what it says.
    Ok = 0,
    /// An argument that is never accepted: a null pointer, a size of 0, an alignment that is no
    /// power of two, an unknown constant. Nothing changed.
    InvalidArgument = 1,
    /// The handle is null, was destroyed, or is of another kind. Nothing changed.
    StaleHandle = 2,
    /// The token, slot, buffer or block is not live, or not the caller's to free. Nothing changed.
    NotLive = 3,
    /// No hole, arena, slot or segment holds the request. Freeing something may help.
    NoSpace = 4,
    /// The request exceeds what could ever be had: the whole capacity, or a limit of the options. Freeing
    /// does not help.
    TooLarge = 5,
    /// As many allocations are live as the options allow.
    LimitReached = 6,
    /// The place asked for is taken.
    Occupied = 7,
    /// The heap has no room for the library's own tables.
    OutOfMemory = 8,
    /// The caller's array is too short; the call has told how long it must be.
    ArrayTooShort = 9,
    /// The bytes are no snapshot, or the list describes no allocator.
    InvalidState = 10,
    /// A variable of the environment has a value that is not accepted.
    InvalidEnvironment = 11,
    /// The environment asks for no arena.
    NotConfigured = 12,
    /// The system refused memory, pages or a policy.
    System = 13,
    /// The library found itself in a state that it should never be in.
    Internal = 14,
    /// What was asked for belongs to the process that this one was forked from. Nothing changed.
    OtherProcess = 15,
    /// No object is stored under the key.
    NotStored = 16,
    /// An object is stored under the key.
    Exists = 17,
    /// Another put of the key is neither committed nor given back.
    InFlight = 18,
    /// A lease of the object is held or has not ended.
    Leased = 19,
    /// The object is pinned.
    Pinned = 20,
    /// The tenant would have more bytes than it may.
    QuotaExceeded = 21,
    /// The deadline of the put has passed.
    Expired = 22,
    /// No replica is in memory that this process can read or write.
    Unreadable = 23,
    /// The bytes of the object are not those that were committed.
    Corrupt = 24,
    /// What changes cannot be written to the directory of the store; nothing is stored any more.
    Journal = 25,
    /// No segment of the identity is mounted.
    NotMounted = 26,
    /// The segment is in a state, or of an epoch, that does not allow it. Nothing changed.
    WrongState = 27,
    /// Somebody uses the object, the segment, its bytes or the directory. It may be tried again.
    Busy = 28,
    /// The caller's function that copies bytes has failed.
    CopyFailed = 29,
}

/// Returns the name of a status, such as `MC_STATUS_NO_SPACE`, or `unknown status` for any other
/// number.
///
/// The text is constant. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_status_name(status: u32) -> *const c_char {
    const NAMES: [&core::ffi::CStr; 30] = [
        c"MC_STATUS_OK",
        c"MC_STATUS_INVALID_ARGUMENT",
        c"MC_STATUS_STALE_HANDLE",
        c"MC_STATUS_NOT_LIVE",
        c"MC_STATUS_NO_SPACE",
        c"MC_STATUS_TOO_LARGE",
        c"MC_STATUS_LIMIT_REACHED",
        c"MC_STATUS_OCCUPIED",
        c"MC_STATUS_OUT_OF_MEMORY",
        c"MC_STATUS_ARRAY_TOO_SHORT",
        c"MC_STATUS_INVALID_STATE",
        c"MC_STATUS_INVALID_ENVIRONMENT",
        c"MC_STATUS_NOT_CONFIGURED",
        c"MC_STATUS_SYSTEM",
        c"MC_STATUS_INTERNAL",
        c"MC_STATUS_OTHER_PROCESS",
        c"MC_STATUS_NOT_STORED",
        c"MC_STATUS_EXISTS",
        c"MC_STATUS_IN_FLIGHT",
        c"MC_STATUS_LEASED",
        c"MC_STATUS_PINNED",
        c"MC_STATUS_QUOTA_EXCEEDED",
        c"MC_STATUS_EXPIRED",
        c"MC_STATUS_UNREADABLE",
        c"MC_STATUS_CORRUPT",
        c"MC_STATUS_JOURNAL",
        c"MC_STATUS_NOT_MOUNTED",
        c"MC_STATUS_WRONG_STATE",
        c"MC_STATUS_BUSY",
        c"MC_STATUS_COPY_FAILED",
    ];
    const _: () = assert!(NAMES.len() == Status::CopyFailed as usize + 1);
    let name = usize::try_from(status).ok().and_then(|at| NAMES.get(at));
    name.map_or(c"unknown status".as_ptr(), |name| name.as_ptr())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::declared;

    #[test]
    #[expect(unsafe_code, reason = "reads the names as a C program does")]
    fn names_are_those_of_the_header() {
        let name = |status| {
            // SAFETY: the pointer is to a constant text.
            let name = unsafe { CStr::from_ptr(mc_status_name(status)) };
            name.to_str().unwrap()
        };
        let statuses = declared::statuses();
        assert_eq!(statuses.len(), Status::CopyFailed as usize + 1);
        for (declared, number) in statuses {
            assert_eq!(name(number), declared);
        }
        assert_eq!(name(Status::CopyFailed as u32 + 1), "unknown status");
    }
}
