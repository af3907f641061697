//! Encrypted connections. The certificates were made for these tests and open
//! nothing else.

use bytes::Bytes;
use mc_cluster::{Client, ClientOptions, DrainOptions, Node, node::NodeError, tls::Tls};

use crate::common::{contents, members, options, runtime};

const AUTHORITY: &[u8] = include_bytes!("certificates/authority.pem");

fn tls(identity: Option<(&[u8], &[u8])>, authority: Option<&[u8]>) -> Tls {
    let mut tls = Tls::default();
    tls.identity = identity.map(|(certificate, key)| (certificate.into(), key.into()));
    tls.authority = authority.map(Into::into);
    tls
}

fn identity_of_node() -> Option<(&'static [u8], &'static [u8])> {
    Some((
        include_bytes!("certificates/node.pem"),
        include_bytes!("certificates/node.key.pem"),
    ))
}

fn identity_of_client() -> Option<(&'static [u8], &'static [u8])> {
    Some((
        include_bytes!("certificates/client.pem"),
        include_bytes!("certificates/client.key.pem"),
    ))
}

/// Of nobody whom the nodes know.
fn identity_of_other() -> Option<(&'static [u8], &'static [u8])> {
    Some((
        include_bytes!("certificates/other.pem"),
        include_bytes!("certificates/other.key.pem"),
    ))
}

/// Returns what a node needs that wants no certificates of its clients.
pub(crate) fn of_node() -> Tls {
    tls(identity_of_node(), None)
}

async fn is_served(node: &Node, tls: Option<Tls>) -> bool {
    let mut options = ClientOptions::default();
    options.patience = std::time::Duration::from_millis(300);
    options.connection.tls = tls;
    let client = Client::new(members(&[("a", node)]), options);
    let put = client.put(b"key", Bytes::from_static(b"bytes")).await;
    let got = client.get(b"key").await;
    put.is_ok() && got.is_ok_and(|got| got.is_some_and(|bytes| bytes == "bytes"))
}

#[test]
fn a_node_with_a_certificate_serves_those_who_trust_it() {
    runtime().block_on(async {
        let mut options = options("a");
        options.tls = Some(of_node());
        let node = Node::start(options).await.unwrap();
        assert!(!is_served(&node, None).await);
        let other = include_bytes!("certificates/other.pem");
        assert!(!is_served(&node, Some(tls(None, Some(other)))).await);
        assert!(is_served(&node, Some(tls(None, Some(AUTHORITY)))).await);
    });
}

#[test]
fn a_node_with_an_authority_serves_only_whom_it_has_signed() {
    runtime().block_on(async {
        let mut options = options("a");
        options.tls = Some(tls(identity_of_node(), Some(AUTHORITY)));
        let node = Node::start(options).await.unwrap();
        let with = |identity| Some(tls(identity, Some(AUTHORITY)));
        assert!(!is_served(&node, with(None)).await);
        assert!(!is_served(&node, with(identity_of_other())).await);
        assert!(is_served(&node, with(identity_of_client())).await);
    });
}

#[test]
fn what_is_no_certificate_starts_no_node() {
    runtime().block_on(async {
        let start = async |tls| {
            let mut options = options("a");
            options.tls = Some(tls);
            Node::start(options).await.unwrap_err()
        };
        let without = start(tls(None, Some(AUTHORITY))).await;
        assert!(matches!(without, NodeError::NoIdentity), "{without}");
        let nonsense = start(tls(Some((b"no", b"pem")), None)).await;
        assert!(matches!(nonsense, NodeError::Certificates(_)), "{nonsense}");
    });
}

#[test]
fn nodes_that_want_certificates_move_their_objects_to_each_other() {
    runtime().block_on(async {
        let start = async |name| {
            let mut options = options(name);
            options.tls = Some(tls(identity_of_node(), Some(AUTHORITY)));
            Node::start(options).await.unwrap()
        };
        let (mut a, b) = (start("a").await, start("b").await);
        let mut options = ClientOptions::default();
        options.connection.tls = Some(tls(identity_of_client(), Some(AUTHORITY)));
        let client = Client::new(members(&[("a", &a)]), options);
        client.put(b"key", contents(b"key", 100)).await.unwrap();
        let drained = a.drain(DrainOptions::new(members(&[("b", &b)]))).await;
        assert_eq!((drained.moved_objects, drained.lost_objects), (1, 0));
        assert!(b.store().exists(b"key"));
    });
}
