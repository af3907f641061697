//! What whoever starts a node may want to know, though it has started.

use mc_arena::Tier;
use mc_store::journal::Damage;
use thiserror::Error;

/// Something that is not as it was asked for, or as it was left.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Notice {
    /// The memory is in lesser pages than were preferred.
    #[error("the memory is in {tier}, not in the reserved huge pages that were preferred")]
    LesserPages {
        /// The pages.
        tier: Tier,
    },
    /// The file of the memory has forgotten bytes that the journal knows.
    #[error("{objects} objects are lost with the memory that they were in")]
    Lost {
        /// How many objects had them.
        objects: usize,
    },
    /// Something of the journal cannot be used.
    #[error("of the journal: {0}")]
    Damaged(Damage),
}
