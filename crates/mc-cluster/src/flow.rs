//! How many bytes may be under way between a client and a node; both ends agree.

/// Bytes under way on a stream: some messages. What waits to be taken up is still in
/// the cache then, and its space serves those that follow.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes under way on a connection: those of many streams, so that a few that stall
/// do not stop the others.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Bytes of a frame, of which a message has one or two: each is taken up whole.
pub(crate) const FRAME_BYTES: u32 = 256 << 10;
