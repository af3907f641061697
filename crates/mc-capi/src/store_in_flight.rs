//! Puts that are under way, whoever has begun them.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and a function of the caller is called"
)]

use std::ffi::c_void;

use crate::{
    call::run,
    descriptor::{Description, Told},
    key::Key,
    raw::required,
    status::Status,
    store::StoreHandle,
};

/// A put that is neither committed nor given back.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct InFlightReport {
    /// Its key.
    pub key: Key,
    /// The time since the put.
    pub age_seconds: f64,
    /// The time until its deadline; 0 if that has passed.
    pub left_seconds: f64,
    /// Where its replicas are, one descriptor for each with all of its parts.
    pub replicas: *const Description,
    /// How many there are; 0 at a moment when they are written here, or are still looked for.
    pub replica_count: usize,
}

/// A function that is told puts, one with each call. What `put` points to is valid during the call. It is
/// called without a lock, and may use the library. It must not throw.
pub type InFlightVisitor =
    Option<unsafe extern "C" fn(context: *mut c_void, put: *const InFlightReport)>;

/// Tells `visit` the puts, also those of a prompt, that are neither committed nor given back, the one whose
/// deadline comes first before others: writers that are late, or lost. Puts whose deadline has passed end
/// first. The age shows how long a writer takes; at most time `n log n` in the puts.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_in_flight(
    store: StoreHandle,
    visit: InFlightVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        for put in store.with(|store| Ok(store.in_flight()))? {
            let told: Vec<Told> = put.descriptors.iter().map(Told::new).collect();
            let replicas: Vec<Description> = told.iter().map(Told::description).collect();
            let report = InFlightReport {
                key: Key::of(&put.key),
                age_seconds: put.age.as_secs_f64(),
                left_seconds: put.left.as_secs_f64(),
                replicas: replicas.as_ptr(),
                replica_count: replicas.len(),
            };
            // SAFETY: the caller's clause; the report and what it points to live through the call.
            unsafe { visit(context, &raw const report) };
        }
        Ok(())
    })
}
