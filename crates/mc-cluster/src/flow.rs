//! How many bytes may be under way between a client and a node; both ends agree.

/// Bytes under way on a stream and on a connection: a large object and more, so
/// that nobody waits for permission to go on.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 8 << 20;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Bytes of a frame, of which a message has one or two: each is taken up whole, so that larger ones are colder
/// when they are copied on.
pub(crate) const FRAME_BYTES: u32 = 256 << 10;
