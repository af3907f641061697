//! Addresses that a node takes before it is ready, and listens on once it is.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::NodeError;

/// Connections that wait to be accepted, at most.
const BACKLOG: u32 = 1024;

/// An address that is taken and refuses connections: whoever comes while the
/// node still maps its memory goes elsewhere at once, and does not wait.
#[derive(Debug)]
pub(super) struct Taken {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Taken {
    /// Takes an address; port 0 is any free one.
    pub(super) fn new(address: SocketAddr) -> Result<Self, NodeError> {
        let take = || -> io::Result<Self> {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // Connections of the process before may still be closing.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        take().map_err(|source| NodeError::Listen { address, source })
    }

    /// Returns the address with the port that it got.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections from now on.
    pub(super) fn listen(self) -> Result<TcpListener, NodeError> {
        let address = self.address;
        let listener = self.socket.listen(BACKLOG);
        listener.map_err(|source| NodeError::Listen { address, source })
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn connections_are_refused_until_the_node_listens() {
        let taken = Taken::new(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = taken.address();
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let _listener = taken.listen().unwrap();
        TcpStream::connect(address).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_another_listens_on_is_refused_by_name() {
        let other = Taken::new(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = other.address();
        let _listener = other.listen().unwrap();
        let refused = Taken::new(address).unwrap_err();
        assert_eq!(refused.to_string(), format!("cannot listen on {address}"));
    }
}
