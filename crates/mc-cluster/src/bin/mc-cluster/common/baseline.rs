//! The same bytes over a plain connection, and copied within memory.

use std::{
    error::Error,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// A block of keys and values of a model, as in the published comparisons.
pub(crate) const BLOCK_BYTES: usize = 3_274_752;

/// Returns the median of some times; none where there are none.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Returns the median times of a block sent over TCP and acknowledged, and of
/// one asked for and received.
pub(crate) fn raw_tcp(
    block: Bytes,
    time: Duration,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    other.set_nodelay(true)?;
    let answers = block.clone();
    let server = thread::spawn(move || {
        let mut bytes = vec![0; BLOCK_BYTES];
        // Ends with the connection.
        while other.read_exact(&mut bytes).is_ok() && other.write_all(&answers[..1]).is_ok() {
            let asked = other.read_exact(&mut bytes[..1]);
            if asked.is_err() || other.write_all(&answers).is_err() {
                break;
            }
        }
    });
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    let mut bytes = vec![0; BLOCK_BYTES];
    let end = Instant::now() + time;
    while Instant::now() < end {
        let start = Instant::now();
        stream.write_all(&block)?;
        stream.read_exact(&mut bytes[..1])?;
        sent.push(start.elapsed());
        let start = Instant::now();
        stream.write_all(&block[..1])?;
        stream.read_exact(&mut bytes)?;
        received.push(start.elapsed());
    }
    drop(stream);
    server.join().map_err(|_| "the other end failed")?;
    Ok((median(sent), median(received)))
}

/// Returns the median time of a copy within memory.
pub(crate) fn copies(block: &Bytes, time: Duration) -> Duration {
    let mut into = vec![0; BLOCK_BYTES];
    let mut times = Vec::new();
    let end = Instant::now() + time.min(Duration::from_secs(1));
    while Instant::now() < end {
        let start = Instant::now();
        into.copy_from_slice(block);
        std::hint::black_box(&mut into);
        times.push(start.elapsed());
    }
    median(times)
}
