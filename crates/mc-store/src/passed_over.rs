//! [`PassedOver`]: how long a huge object has been spared.

use crate::policy::ObjectId;

/// The object that was first in order and did not leave, as it is huge.
#[derive(Debug, Default)]
pub(crate) struct PassedOver {
    id: Option<ObjectId>,
    /// What was placed in its stead.
    bytes: u64,
}

impl PassedOver {
    /// Notes that an object is passed over once more for a request of so many
    /// bytes; returns the bytes of all requests since it was first.
    pub(crate) fn again(&mut self, id: ObjectId, bytes: u64) -> u64 {
        if self.id != Some(id) {
            (self.id, self.bytes) = (Some(id), 0);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.bytes
    }
}
