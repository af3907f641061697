//! How every exported function runs, and the message of the last one that failed.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use std::{
    any::Any,
    cell::{Cell, RefCell},
    error::Error,
    ffi::{CString, c_char},
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
};

use mc_offset::{AllocError, Handle};

use crate::{fault::Fault, figures::Figures, raw::required, status::Status};

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { fault: None, message: None }) };
    /// The numbers of an [`AllocError::NoHole`] that came after `LAST`: kept in as few steps as there
    /// are numbers.
    static NO_HOLE: Cell<Option<[u64; 3]>> = const { Cell::new(None) };
}

/// The last failure of a thread; its message is made when somebody asks for it.
struct Last {
    fault: Option<Fault>,
    message: Option<CString>,
}

/// Returns why the last call of this thread that failed did so, or an empty text if none has.
///
/// The text belongs to the library and is valid until the next call of this thread fails. Any
/// thread may call this; each has a message of its own.
#[unsafe(no_mangle)]
pub extern "C" fn mc_error_message() -> *const c_char {
    let message = LAST.try_with(|last| {
        let last = &mut *last.borrow_mut();
        last.keep_refusal();
        let Some(fault) = &last.fault else {
            return c"".as_ptr();
        };
        let message = last.message.get_or_insert_with(|| text(fault));
        message.as_ptr()
    });
    message.unwrap_or(c"the thread is ending".as_ptr())
}

/// Tells the numbers of the refusal of which the message is: how much was asked for and how much there
/// is. They are 0 if it has none.
///
/// Any thread may call this; each has numbers of its own. Fails with `MC_STATUS_INVALID_ARGUMENT` for
/// null.
#[unsafe(no_mangle)]
pub extern "C" fn mc_error_figures(out: Option<&mut MaybeUninit<Figures>>) -> Status {
    run(|| {
        let out = required(out, "out")?;
        let figures = LAST.try_with(|last| {
            let last = &mut *last.borrow_mut();
            last.keep_refusal();
            last.fault.as_ref().map(Fault::figures)
        });
        out.write(figures.ok().flatten().unwrap_or_default());
        Ok(())
    })
}

/// Runs a call: every exported function that can fail is one of these.
#[inline]
pub(crate) fn run(call: impl FnOnce() -> Result<(), Fault>) -> Status {
    answer(|| call().map(|()| Status::Ok))
}

/// As [`run`], of a call that says itself what came of it unless it fails.
#[inline]
pub(crate) fn answer(call: impl FnOnce() -> Result<Status, Fault>) -> Status {
    // Allocators panic only where they find themselves corrupted, and refuse from then on.
    catch_unwind(AssertUnwindSafe(|| call().unwrap_or_else(note))).unwrap_or_else(note_panic)
}

/// Runs a call that returns its answer; one that fails answers no, or 0.
#[inline]
pub(crate) fn ask<R: Default>(call: impl FnOnce() -> Result<R, Fault>) -> R {
    let mut answer = R::default();
    // The message tells of a failure.
    let _ = run(|| {
        answer = call()?;
        Ok(())
    });
    answer
}

/// Gives what was allocated to `keep`, for [`answer`]. That no hole fits is no fault here: a store
/// that is full meets it at every object.
#[inline]
pub(crate) fn allocated(
    handle: Result<Handle, AllocError>,
    keep: impl FnOnce(Handle),
) -> Result<Status, Fault> {
    match handle {
        Ok(handle) => {
            keep(handle);
            Ok(Status::Ok)
        }
        Err(AllocError::NoHole {
            asked,
            free,
            largest_hole,
        }) => {
            NO_HOLE.set(Some([asked, free, largest_hole]));
            Ok(Status::NoSpace)
        }
        Err(error) => Err(error.into()),
    }
}

#[cold]
fn note_panic(payload: Box<dyn Any + Send>) -> Status {
    note(Fault::Panic {
        message: panic_text(payload.as_ref()),
    })
}

/// Keeps a fault for `mc_error_message` and returns its status.
#[cold]
fn note(fault: Fault) -> Status {
    let status = fault.status();
    NO_HOLE.set(None);
    // A thread whose storage is gone has nobody left who asks.
    let _ = LAST.try_with(|last| last.borrow_mut().keep(fault));
    status
}

impl Last {
    /// Keeps the refusal whose numbers came after the fault, if there is one.
    fn keep_refusal(&mut self) {
        if let Some([asked, free, largest_hole]) = NO_HOLE.take() {
            let refusal = AllocError::NoHole {
                asked,
                free,
                largest_hole,
            };
            self.keep(refusal.into());
        }
    }

    fn keep(&mut self, fault: Fault) {
        self.message = None;
        self.fault = Some(fault);
    }
}

fn text(fault: &Fault) -> CString {
    let mut text = causes(fault);
    text.retain(|char| char != '\0');
    CString::new(text).unwrap_or_default()
}

/// Returns a fault and the causes behind it in one line.
pub(crate) fn causes(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn panic_text(payload: &(dyn Any + Send)) -> Box<str> {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").into()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[expect(unsafe_code, reason = "reads the message as a C program does")]
    fn message() -> String {
        // SAFETY: (1) the pointer is to a C string, by the function's contract; (2) no call of this
        // thread fails before the text is copied.
        let text = unsafe { CStr::from_ptr(mc_error_message()) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_message_tells_the_last_failure_of_the_thread() {
        assert_eq!(message(), "");
        let status = run(|| Err(Fault::Null { argument: "out" }));
        assert_eq!(status, Status::InvalidArgument);
        assert_eq!(message(), "argument out is null");
        assert_eq!(run(|| Ok(())), Status::Ok);
        assert_eq!(message(), "argument out is null");
        let of_another = std::thread::spawn(message).join().unwrap();
        assert_eq!(of_another, "");
    }

    #[test]
    fn a_refusal_and_a_fault_replace_each_other() {
        for asked in [8, 9] {
            let refusal = AllocError::NoHole {
                asked,
                free: 7,
                largest_hole: 5,
            };
            let text = refusal.to_string();
            assert_eq!(answer(|| allocated(Err(refusal), drop)), Status::NoSpace);
            assert_eq!([message(), message()], [text.as_str(), text.as_str()]);
            assert_eq!(
                run(|| Err(Fault::DamagedToken)),
                Fault::DamagedToken.status()
            );
            assert_eq!(message(), Fault::DamagedToken.to_string());
        }
        let other = answer(|| allocated(Err(AllocError::ZeroSize), drop));
        assert_eq!(other, Status::InvalidArgument);
        assert_eq!(message(), AllocError::ZeroSize.to_string());
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let status = run(|| panic!("table {} is torn", 7));
        assert_eq!(status, Status::Internal);
        assert_eq!(message(), "internal error: table 7 is torn");
    }

    #[test]
    fn causes_are_part_of_the_message() {
        let cause = mc_offset::OptionsError::ZeroCapacity;
        let status = run(|| Err(mc_offset::RestoreError::Options(cause).into()));
        assert_eq!(status, Status::InvalidArgument);
        assert_eq!(
            message(),
            format!("no allocator fits these options: {cause}")
        );
    }
}
