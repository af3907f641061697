//! Putting the objects of a prompt in one go.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    ObjectStore,
    asker::Behind,
    clock::{Moment, Tick},
    error::{CommitError, PutError},
    lease::Lease,
    put::{Put, begin},
    request::PutRequest,
};

/// The objects of a prompt from its first on: those that are stored, and space
/// for those that were missing.
///
/// None of them leaves as long as this is held. Dropped without
/// [`commit`](Self::commit), it gives the space back.
#[derive(Debug)]
#[must_use = "dropping the chain gives its space back"]
pub struct Chain {
    found: Vec<Lease>,
    puts: Vec<Put>,
    refusal: Option<PutError>,
}

impl ObjectStore {
    /// Finds space for the objects of a prompt that are missing, in their order
    /// and as many from the front as fit; those that are there are used.
    ///
    /// Each object's [`parent`](PutRequest::parent) is the one before it; the
    /// first one has its own, which the look-up that found it has used. Room is
    /// never made at the cost of what comes earlier in the chain; what is stored
    /// behind a missing object is worth nothing before that is back, and may leave
    /// for it. What is refused, and all behind it, is left out: see
    /// [`Chain::refusal`].
    ///
    /// ```
    /// # use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
    /// # use mc_store::{ObjectStore, PutRequest, StoreOptions};
    /// # let pool = SegmentPool::new(SegmentPoolOptions::default());
    /// # pool.mount(Segment::remote(SegmentInfo::new(SegmentId(1), "node-1", 0, 100)))?;
    /// # let store = ObjectStore::new(pool, StoreOptions::default())?;
    /// let prompt = ["a/0", "a/1", "a/2"].map(|key| (key, PutRequest::new(40)));
    /// let chain = store.put_many(&prompt);
    /// assert_eq!((chain.len(), chain.refusal().is_some()), (2, true));
    /// assert_eq!(chain.commit()?, 2);
    /// assert_eq!(store.get_many(&["a/0", "a/1", "a/2"]).len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_many<K: AsRef<[u8]>>(&self, chain: &[(K, PutRequest<'_>)]) -> Chain {
        let shared = &self.shared;
        let now = shared.now_coarsely();
        let mut all = Chain {
            found: Vec::new(),
            puts: Vec::new(),
            refusal: None,
        };
        let mut parent = chain.first().and_then(|(_, request)| request.parent);
        // What is stored of the prompt before the next one, and with it all before that.
        let before = parent.and_then(|key| shared.lease_quietly(key, now));
        let mut behind = before.as_ref().map_or(Behind::Nothing, behind_lease);
        for (key, request) in chain {
            let key = key.as_ref();
            let request = PutRequest { parent, ..*request };
            if let Err(refusal) = self.add_to(&mut all, key, &request, &mut behind, now) {
                shared.count_refusal(&refusal);
                all.refusal = Some(refusal);
                break;
            }
            parent = Some(key);
        }
        let no_hits = &shared.counts.uses_without_hit;
        no_hits.fetch_add(all.found.len() as u64, Ordering::Relaxed);
        // The last one first, so that the first one is the youngest.
        for lease in all.found.iter().rev() {
            shared.order.note_use(lease.object(), Tick::from(now));
        }
        all
    }

    fn add_to(
        &self,
        chain: &mut Chain,
        key: &[u8],
        request: &PutRequest<'_>,
        behind: &mut Behind<'_>,
        now: Moment,
    ) -> Result<(), PutError> {
        if let Some(lease) = self.shared.lease_quietly(key, now) {
            *behind = behind_lease(&lease);
            chain.found.push(lease);
            return Ok(());
        }
        let put = begin(&self.shared, key, request, *behind, now)?;
        chain.puts.push(put.in_chain());
        Ok(())
    }
}

fn behind_lease(lease: &Lease) -> Behind<'static> {
    Behind::Object(lease.object().id)
}

impl Chain {
    /// Returns how many objects are stored or have space.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an empty chain is one of length 0"
    )]
    pub fn len(&self) -> usize {
        self.found.len() + self.puts.len()
    }

    /// Returns the objects that were there already.
    pub fn found(&self) -> &[Lease] {
        &self.found
    }

    /// Returns the space of those that were missing, in their order.
    pub fn puts_mut(&mut self) -> &mut [Put] {
        &mut self.puts
    }

    /// Returns why the object behind those was refused, if there is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&PutError> {
        self.refusal.as_ref()
    }

    /// Makes the objects that were missing readable, in their order; returns how
    /// many objects of the chain are stored. If a [watermark](crate::Watermarks) is
    /// passed, objects leave when all are.
    ///
    /// # Errors
    ///
    /// The first [`CommitError`]; the objects before it are stored, those behind
    /// it are not.
    pub fn commit(self) -> Result<usize, CommitError> {
        let stored = self.len();
        let Self { found, puts, .. } = self;
        let Some(shared) = puts.first().map(|put| Arc::clone(put.shared())) else {
            return Ok(stored);
        };
        let mut committed = 0;
        let all = puts.into_iter().try_for_each(|put| {
            put.commit()?;
            committed += 1;
            Ok(())
        });
        // What is held would be passed over, and what came before it would leave.
        drop(found);
        let now = shared.now_coarsely();
        (0..committed).for_each(|_| shared.evict_to_watermark(now));
        all.map(|()| stored)
    }
}
