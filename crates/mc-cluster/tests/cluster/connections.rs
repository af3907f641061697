//! Connections of clients that say nothing end, and those of clients that answer stay.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mc_cluster::{Client, ClientOptions, Member, Members, Node, NodeOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::common::{contents, options, runtime};

fn impatient() -> NodeOptions {
    let mut options = options("a");
    options.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    options.limits.pause_max = Duration::from_millis(200);
    options
}

/// Waits until the other end has closed a connection that began with some bytes.
async fn is_ended(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let ended = async { while let Ok(1..) = stream.read(&mut [0; 1000]).await {} };
    let ended = timeout(Duration::from_secs(5), ended).await;
    assert!(ended.is_ok(), "it stays after {bytes:?}");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[test]
fn a_connection_over_which_nothing_comes_is_ended() {
    runtime().block_on(async {
        let node = Node::start(impatient()).await.unwrap();
        for bytes in [b"", &PREFACE[..9], PREFACE] {
            is_ended(node.address(), bytes).await;
        }
        for bytes in [&b""[..], b"GET /me"] {
            is_ended(node.http_address().unwrap(), bytes).await;
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn a_connection_whose_encryption_never_begins_is_ended() {
    runtime().block_on(async {
        let mut options = impatient();
        options.tls = Some(crate::tls::of_node());
        let node = Node::start(options).await.unwrap();
        // Of a first message of TLS, the head alone.
        for bytes in [&b""[..], &[0x16, 3, 1, 2, 0]] {
            is_ended(node.address(), bytes).await;
        }
    });
}

#[test]
fn a_connection_whose_client_answers_stays() {
    runtime().block_on(async {
        let node = Node::start(impatient()).await.unwrap();
        let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let member = Member::new("a", gate.local_addr().unwrap().to_string());
        let (target, connections) = (node.address(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = gate.accept().await.unwrap();
                let mut node = TcpStream::connect(target).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut node).await });
            }
        });
        let members = Members::fixed(vec![member]).unwrap();
        let client = Client::new(members, ClientOptions::default());
        client.put(b"key", contents(b"key", 100)).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        let read = client.get(b"key").await.unwrap();
        assert_eq!(read, Some(contents(b"key", 100)));
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    });
}
