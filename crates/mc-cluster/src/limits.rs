//! What a node accepts from the wire.

use std::time::Duration;

/// The most that a node accepts from the wire, so that no client can exhaust its
/// memory or hold its space for good.
///
/// More fields may come: begin with [`Limits::default`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Items of one call.
    pub batch_max: usize,
    /// Bytes of a key, and of the one that comes before it in its prompt.
    pub key_bytes_max: usize,
    /// Bytes of an object.
    pub object_bytes_max: u64,
    /// Bytes of one message, in either direction.
    pub message_bytes_max: usize,
    /// Bytes of an object in one message that the node sends, and that its
    /// clients are told to send; less than a message may have.
    pub chunk_bytes_max: usize,
    /// Streams and calls under way on one connection.
    pub streams_max: u32,
    /// How long a stream of writes may pause. A connection over which nothing came
    /// for twice as long is ended.
    pub pause_max: Duration,
    /// Time from the reservation of a put to its commit. A call whose request
    /// has not ended after so long and one more pause is ended; a stream of
    /// writes serves no put then that was reserved before it.
    pub put_deadline_max: Duration,
    /// How long after its deadline the space of a put stays taken; at least 30 s
    /// where clients write to it by an engine.
    pub put_margin: Duration,
    /// Puts in flight.
    pub puts_max: usize,
    /// Time that a lookup keeps its objects.
    pub lease_max: Duration,
    /// Objects that are leased, counted once for each lease.
    pub leased_max: usize,
}

impl Default for Limits {
    /// Returns 1,024 items, keys of 4,096 bytes, objects of a GiB, messages of 4 MiB
    /// with 256 KiB of an object, 256 streams, pauses of 10 s, a minute for a put and a second
    /// more, 2^18 puts, leases of a minute, and 2^20 leased objects.
    fn default() -> Self {
        Self {
            batch_max: 1024,
            key_bytes_max: 4096,
            object_bytes_max: 1 << 30,
            message_bytes_max: 4 << 20,
            chunk_bytes_max: 256 << 10,
            streams_max: 256,
            pause_max: Duration::from_secs(10),
            put_deadline_max: Duration::from_secs(60),
            put_margin: Duration::from_secs(1),
            puts_max: 1 << 18,
            lease_max: Duration::from_secs(60),
            leased_max: 1 << 20,
        }
    }
}
