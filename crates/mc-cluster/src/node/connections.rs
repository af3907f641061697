//! Connections as they are accepted: no more than leave files for the rest of the node, and each ends when
//! nothing has come over it for long.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use futures_util::{Stream, stream};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::time::after;

/// Accepts connections, and closes those that are too many at once. Where the
/// process has no files left, it waits for some.
#[derive(Debug)]
pub(super) struct Connections {
    listener: TcpListener,
    silence_max: Duration,
    free: Arc<Semaphore>,
}

/// A connection that cannot be read any more once nothing has come for a time.
/// Clients answer the pings of HTTP/2 sooner; whoever does not even begin would
/// keep a file of this process for good.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    silence_max: Duration,
    /// When something came, or it was accepted.
    heard: Instant,
    /// The end of a silence that began then, or earlier.
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// Files of the process that connections leave, or half of them: without one for
/// its journal a node would take no puts any more.
const FILES_LEFT: u64 = 64;

/// Connections of those who ask for figures and health, out of the files that are
/// left.
pub(super) const HTTP_MAX: usize = 32;

impl Connections {
    /// Accepts up to `most` connections at once, and those that leave files for
    /// other things.
    pub(super) fn new(listener: TcpListener, silence_max: Duration, most: usize) -> Self {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(files, _)| files);
        let free = files.saturating_sub(FILES_LEFT).max(files / 2);
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        let free = free.min(Semaphore::MAX_PERMITS).min(most);
        Self {
            listener,
            silence_max,
            free: Arc::new(Semaphore::new(free)),
        }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, async |mut connections| {
            let (connection, _) = connections.accept().await;
            Some((Ok(connection), connections))
        })
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address, place) = loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Whoever is closed at once goes elsewhere, and does not wait.
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                break (stream, address, place);
            }
        };
        // Without it answers are late, no more.
        let _ = stream.set_nodelay(true);
        let heard = Instant::now();
        let connection = Connection {
            stream,
            silence_max: self.silence_max,
            heard,
            end: Box::pin(sleep_until(after(heard, self.silence_max))),
            _place: place,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        if read.is_ready() {
            this.heard = Instant::now();
            return read;
        }
        while this.end.as_mut().poll(context).is_ready() {
            let end = after(this.heard, this.silence_max);
            if end <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            this.end.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
