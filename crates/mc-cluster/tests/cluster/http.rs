//! Figures and health, as Prometheus and an orchestrator ask for them.

use std::net::SocketAddr;

use crate::common::{calls, client, item, lookup, options, page, refusal, reserve, runtime, stats};
use bytes::Bytes;
use futures_util::stream;
use mc_cluster::{
    Etcd, Node,
    node::NodeError,
    wire::{CommitRequest, ReleaseRequest, ReserveRequest, WriteRequest, commit_request},
};
use tonic::Code;

fn value(page: &str, series: &str) -> f64 {
    let mut lines = page.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(name, _)| *name == series);
    found
        .unwrap_or_else(|| panic!("no {series} in {page}"))
        .1
        .parse()
        .unwrap()
}

#[test]
fn figures_follow_the_node_and_are_its_own() {
    runtime().block_on(async {
        let start = async |name| {
            let mut options = options(name);
            options.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            Node::start(options).await.unwrap()
        };
        let (a, b) = (start("a").await, start("b").await);
        let client = client(&[("a", &a)]);
        client
            .put(b"key", Bytes::from_static(b"12345"))
            .await
            .unwrap();
        let found = lookup(&mut calls(&a), &[b"key"], 60_000).await;
        let request = ReleaseRequest {
            leases: vec![found.lease],
            life: found.life,
        };
        calls(&a).release(request).await.unwrap();
        lookup(&mut calls(&a), &[b"key"], 60_000).await;
        reserve(&mut calls(&a), b"other", 10, 60_000).await;
        for _ in 0..2 {
            let figures = page(a.http_address().unwrap(), "/metrics").await;
            assert!(figures.starts_with("HTTP/1.1 200"), "{figures}");
            for (series, expected) in [
                ("mc_store_objects", 1.0),
                ("mc_store_live_bytes", 5.0),
                ("mc_store_hits_total", 2.0),
                ("mc_cluster_puts_in_flight", 1.0),
                ("mc_cluster_leases", 1.0),
                ("mc_cluster_leased_objects", 1.0),
                ("mc_cluster_leases_expired_total", 0.0),
                ("mc_cluster_lease_seconds_count", 1.0),
                ("mc_cluster_lease_seconds_bucket{le=\"+Inf\"}", 1.0),
                ("mc_store_lifetime_seconds_bucket{le=\"0.01\"}", 0.0),
                ("mc_cluster_drain_moved_objects_total", 0.0),
                ("mc_cluster_drain_left_objects", 0.0),
                ("mc_cluster_takes_puts", 1.0),
            ] {
                assert_eq!(value(&figures, series), expected, "{series}");
            }
        }
        let figures = page(b.http_address().unwrap(), "/metrics").await;
        assert_eq!(value(&figures, "mc_store_objects"), 0.0);
        let health = page(a.http_address().unwrap(), "/healthz").await;
        assert!(health.starts_with("HTTP/1.1 200"), "{health}");
        let nothing = page(a.http_address().unwrap(), "/other").await;
        assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
    });
}

#[test]
fn a_node_that_is_no_member_is_not_ready_and_takes_no_puts() {
    runtime().block_on(async {
        let mut options = options("a");
        options.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        options.etcd = Some(Etcd::new(vec!["http://127.0.0.1:1".to_owned()]));
        let node = Node::start(options).await.unwrap();
        let health = page(node.http_address().unwrap(), "/healthz").await;
        assert!(health.starts_with("HTTP/1.1 503"), "{health}");
        let mut calls = calls(&node);
        let request = ReserveRequest {
            items: vec![item(b"key", 10)],
            deadline_ms: 0,
        };
        let life = stats(&mut calls).await.life;
        let items = vec![commit_request::Item::default()];
        let write = WriteRequest {
            life,
            ..Default::default()
        };
        let refused = [
            refusal(calls.reserve(request).await),
            refusal(calls.commit(CommitRequest { items, life }).await),
            refusal(calls.write(stream::iter([write])).await),
        ];
        assert_eq!(refused, [Some(Code::Unavailable); 3]);
        assert!(lookup(&mut calls, &[b"key"], 1).await.objects.is_empty());
    });
}

#[test]
fn an_address_that_nobody_can_reach_is_not_announced() {
    runtime().block_on(async {
        for address in [
            "",
            "host",
            "host:",
            ":7001",
            "host:70000",
            "host:0",
            "a host:7001",
        ] {
            let mut options = options("a");
            options.advertise = Some(address.to_owned());
            let refused = Node::start(options).await.unwrap_err();
            assert!(
                matches!(refused, NodeError::Advertise { .. }),
                "{address}: {refused}"
            );
            assert!(refused.to_string().contains(&format!("{address:?}")));
        }
    });
}

#[test]
fn an_address_that_is_every_hosts_own_is_not_announced() {
    runtime().block_on(async {
        let start = async |listen: &str, advertise: Option<&str>| {
            let mut options = options("a");
            options.etcd = Some(Etcd::new(vec!["http://127.0.0.1:1".to_owned()]));
            options.listen = listen.parse().unwrap();
            options.advertise = advertise.map(str::to_owned);
            Node::start(options).await
        };
        for (listen, advertise) in [
            ("0.0.0.0:0", None),
            ("[::]:0", None),
            ("127.0.0.1:0", Some("0.0.0.0:7001")),
            ("127.0.0.1:0", Some("[::]:7001")),
        ] {
            let refused = start(listen, advertise).await.unwrap_err();
            assert!(
                matches!(refused, NodeError::Advertise { .. }),
                "{listen} {advertise:?}: {refused}"
            );
        }
        start("0.0.0.0:0", Some("127.0.0.1:7001")).await.unwrap();
    });
}
