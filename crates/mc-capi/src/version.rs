//! Which library this is.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use std::ffi::{CStr, c_char};

/// First number of the version of the header; `mc_version` is that of the library.
pub const MC_ALLOC_VERSION_MAJOR: u32 = 0;
/// Second number of the version of the header.
pub const MC_ALLOC_VERSION_MINOR: u32 = 2;
/// Third number of the version of the header.
pub const MC_ALLOC_VERSION_PATCH: u32 = 0;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte inside"),
    };

/// Returns the version of the library, such as `0.2.0`. The text is constant. Any thread may call
/// this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_version() -> *const c_char {
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_version_of_the_package() {
        let header = [
            MC_ALLOC_VERSION_MAJOR,
            MC_ALLOC_VERSION_MINOR,
            MC_ALLOC_VERSION_PATCH,
        ];
        let header = header.map(|number| number.to_string()).join(".");
        assert_eq!(VERSION.to_str(), Ok(header.as_str()));
    }
}
