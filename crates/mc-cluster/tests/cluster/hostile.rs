//! Whatever comes over the wire: errors, and nobody else notices.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::common::{
    NODE_BYTES, calls, client, commit, contents, item, lookup, options, refusal, reserve, runtime,
    soon, start, stats, write_request,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mc_cluster::{
    Client, ClientOptions, Member, Members, Node, Token,
    client::Calls,
    wire::{
        AbortRequest, AbortResponse, CommitRequest, CommitResponse, LookupRequest, LookupResponse,
        MemoryRequest, MemoryResponse, Outcome, ReadRequest, ReadResponse, ReleaseRequest,
        ReleaseResponse, RemoveRequest, RemoveResponse, ReserveRequest, ReserveResponse,
        StatsRequest, StatsResponse, WriteRequest, WriteResponse, commit_request, lookup_response,
        node_server::{self, NodeServer},
        remove_request::Mode,
        reserve_request,
    },
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, time::timeout};
use tonic::{
    Code, Request, Response, Status, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

#[test]
fn batches_keys_and_messages_beyond_the_limits_are_refused() {
    runtime().block_on(async {
        let mut options = options("a");
        options.limits.batch_max = 8;
        options.limits.key_bytes_max = 16;
        options.limits.object_bytes_max = 1000;
        options.limits.message_bytes_max = 64 << 10;
        let node = Node::start(options).await.unwrap();
        let mut calls = calls(&node);
        let refused = calls.lookup(nine_keys()).await.unwrap_err();
        assert!(refused.message().contains("at most 8"), "{refused}");
        assert_eq!(
            nine_of_each(&mut calls).await,
            [Some(Code::InvalidArgument); 7]
        );
        let long = reserve(&mut calls, &[b'k'; 17], 1, 0).await;
        assert_eq!(long.items[0].outcome(), Outcome::TooLarge);
        let large = reserve(&mut calls, b"large", 1001, 0).await;
        assert_eq!(large.items[0].outcome(), Outcome::TooLarge);
        // What comes before it is kept as long as the put.
        let mut child = item(b"key", 1);
        child.parent = Some(vec![b'k'; 17].into());
        let request = ReserveRequest {
            items: vec![child],
            deadline_ms: 0,
        };
        let child = calls.reserve(request).await.unwrap().into_inner();
        assert_eq!(child.items[0].outcome(), Outcome::TooLarge);
        let large = LookupRequest {
            keys: vec![Bytes::from(vec![0; 65 << 10])],
            lease_ms: 1,
            all_keys: false,
        };
        let refused = calls.lookup(large).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange);
        let no_mode = RemoveRequest {
            keys: Vec::new(),
            mode: 99,
        };
        let refused = calls.remove(no_mode).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    });
}

fn nine_keys() -> LookupRequest {
    LookupRequest {
        keys: vec![Bytes::from_static(b"key"); 9],
        lease_ms: 1,
        all_keys: false,
    }
}

/// Makes every call that takes a batch with one of nine.
async fn nine_of_each(calls: &mut Calls) -> [Option<Code>; 7] {
    let life = stats(calls).await.life;
    let reserve = ReserveRequest {
        items: vec![item(b"key", 1); 9],
        deadline_ms: 0,
    };
    let items = vec![commit_request::Item::default(); 9];
    let (puts, leases) = (vec![1; 9], vec![1; 9]);
    let remove = RemoveRequest {
        keys: nine_keys().keys,
        mode: Mode::Detach.into(),
    };
    let read = ReadRequest {
        life,
        lease: 1,
        objects: vec![0; 9],
    };
    [
        refusal(calls.reserve(reserve).await),
        refusal(calls.commit(CommitRequest { items, life }).await),
        refusal(calls.abort(AbortRequest { puts, life }).await),
        refusal(calls.lookup(nine_keys()).await),
        refusal(calls.release(ReleaseRequest { leases, life }).await),
        refusal(calls.remove(remove).await),
        refusal(calls.read(read).await),
    ]
}

#[test]
fn requests_that_make_no_sense_get_an_outcome_each_and_change_nothing() {
    runtime().block_on(async {
        let node = start("a").await;
        let mut calls = calls(&node);
        let senseless = [
            item(b"empty", 0),
            item(b"huge", u64::MAX),
            reserve_request::Item {
                align: 3,
                ..item(b"align", 100)
            },
            reserve_request::Item {
                extents_max: u32::MAX,
                ..item(b"large", NODE_BYTES + 1)
            },
        ];
        let request = ReserveRequest {
            items: senseless.into(),
            deadline_ms: u64::MAX,
        };
        let reserved = calls.reserve(request).await.unwrap().into_inner();
        let outcomes: Vec<_> = reserved.items.iter().map(|item| item.outcome()).collect();
        let (senseless, large) = (Outcome::Impossible, Outcome::TooLarge);
        assert_eq!(outcomes, [senseless, large, senseless, senseless]);
        assert!(reserved.items.iter().all(|item| item.put == 0));
        let stats = stats(&mut calls).await;
        assert_eq!((stats.puts_in_flight, stats.objects), (0, 0));
    });
}

#[test]
fn puts_cannot_be_written_beyond_their_end_nor_after_it_is_over() {
    runtime().block_on(async {
        let node = start("a").await;
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        let bytes = contents(b"key", 100);
        for (offset, len) in [(1, 100), (100, 1), (u64::MAX, 1)] {
            let request = write_request(&reserved, offset, &bytes.slice(..len));
            let refused = calls.write(stream::iter([request])).await.unwrap_err();
            assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
        }
        let request = write_request(&reserved, 0, &bytes);
        calls.write(stream::iter([request.clone()])).await.unwrap();
        let checksum = crc32fast::hash(&bytes);
        assert_eq!(commit(&mut calls, &reserved, checksum).await, Outcome::Done);
        // Replayed and out of order.
        assert_eq!(commit(&mut calls, &reserved, 1).await, Outcome::Unknown);
        let refused = calls.write(stream::iter([request])).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        let request = AbortRequest {
            puts: vec![reserved.items[0].put, 0, u64::MAX],
            life: reserved.life,
        };
        let aborted = calls.abort(request).await.unwrap().into_inner();
        assert!(
            aborted
                .outcomes()
                .all(|outcome| outcome == Outcome::Unknown)
        );
        let got = client(&[("a", &node)]).get(b"key").await.unwrap();
        assert_eq!(got, Some(bytes));
    });
}

#[test]
fn reads_that_no_lease_covers_are_refused() {
    runtime().block_on(async {
        let node = start("a").await;
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        commit(&mut calls, &reserved, 0).await;
        let found = lookup(&mut calls, &[b"key"], 60_000).await;
        for (lease, objects, code) in [
            (found.lease + 1, vec![], Code::NotFound),
            (0, vec![], Code::NotFound),
            (found.lease, vec![1], Code::InvalidArgument),
            (found.lease, vec![0; 2000], Code::InvalidArgument),
        ] {
            let request = ReadRequest {
                life: reserved.life,
                lease,
                objects,
            };
            let answer = calls.read(request).await;
            let status = match answer {
                Err(status) => status,
                Ok(stream) => stream.into_inner().message().await.unwrap_err(),
            };
            assert_eq!(status.code(), code);
        }
    });
}

#[test]
fn streams_that_pause_or_never_end_are_ended() {
    runtime().block_on(async {
        let mut options = options("a");
        options.limits.pause_max = Duration::from_millis(200);
        options.limits.put_deadline_max = Duration::from_millis(800);
        let node = Node::start(options).await.unwrap();
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"pause", 100, 0).await;
        let bytes = contents(b"pause", 100);
        let first = write_request(&reserved, 0, &bytes);
        let pausing = stream::iter([first]).chain(stream::pending());
        let refused = timeout(Duration::from_secs(5), calls.write(pausing)).await;
        assert_eq!(refused.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
        let reserved = reserve(&mut calls, b"endless", 100, 0).await;
        let again = write_request(&reserved, 0, &bytes);
        let refused = timeout(Duration::from_secs(5), calls.write(stream::repeat(again))).await;
        assert_eq!(refused.unwrap().unwrap_err().code(), Code::NotFound);
    });
}

#[test]
fn a_call_whose_request_never_ends_is_ended() {
    runtime().block_on(async {
        let mut options = options("a");
        options.limits.pause_max = Duration::from_millis(200);
        options.limits.put_deadline_max = Duration::from_millis(300);
        let node = Node::start(options).await.unwrap();
        let address = format!("http://{}", node.address());
        let channel = Endpoint::from_shared(address).unwrap().connect().await;
        let mut calls = Grpc::new(channel.unwrap());
        for messages in 0..2 {
            calls.ready().await.unwrap();
            let begun = stream::iter(vec![ReserveRequest::default(); messages]);
            let endless = begun.chain(stream::pending());
            let path = PathAndQuery::from_static("/mc.cluster.v1.Node/Reserve");
            let codec = ProstCodec::<_, ReserveResponse>::default();
            let refused = calls.client_streaming(Request::new(endless), path, codec);
            let refused = timeout(Duration::from_secs(5), refused).await;
            let refused = refused.expect("the node ends it").unwrap_err();
            assert_eq!(refused.code(), Code::Cancelled, "{refused}");
        }
    });
}

#[test]
fn nobody_gets_more_than_the_limits_of_puts_and_leases() {
    runtime().block_on(async {
        let mut options = options("a");
        options.limits.puts_max = 3;
        options.limits.leased_max = 2;
        options.limits.lease_max = Duration::from_millis(300);
        options.limits.put_deadline_max = Duration::from_millis(300);
        options.limits.put_margin = Duration::from_millis(100);
        let node = Node::start(options).await.unwrap();
        let mut calls = calls(&node);
        let stored = reserve(&mut calls, b"stored", 100, 0).await;
        commit(&mut calls, &stored, 0).await;
        let request = ReserveRequest {
            items: (0_u8..5).map(|n| item(&[n], 10)).collect(),
            deadline_ms: u64::MAX,
        };
        let reserved = calls.reserve(request).await.unwrap().into_inner();
        let outcomes: Vec<_> = reserved.items.iter().map(|item| item.outcome()).collect();
        let (done, full) = (Outcome::Done, Outcome::NoRoom);
        assert_eq!(outcomes, [done, done, done, full, full]);
        for _ in 0..2 {
            let found = lookup(&mut calls, &[b"stored"], u64::MAX).await;
            assert_eq!(found.granted_ms, 300);
        }
        let request = LookupRequest {
            keys: vec![Bytes::from_static(b"stored")],
            lease_ms: 1,
            all_keys: false,
        };
        let refused = calls.lookup(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        soon("all given back", Duration::from_secs(5), async || {
            let stats = stats(&mut calls).await;
            stats.puts_in_flight == 0 && stats.lingering == 0 && stats.leases == 0
        })
        .await;
        assert_eq!(stats(&mut calls).await.live_bytes, 100);
    });
}

#[test]
fn without_the_token_nothing_is_served() {
    runtime().block_on(async {
        let mut options = options("a");
        options.token = Some(Token::new("secret").unwrap());
        let node = Node::start(options).await.unwrap();
        let with = |token: Option<&str>| {
            let mut options = ClientOptions::default();
            options.connection.token = token.map(|token| Token::new(token).unwrap());
            Client::new(crate::common::members(&[("a", &node)]), options)
        };
        for token in [None, Some("other")] {
            let client = with(token);
            assert!(client.put(b"key", Bytes::from_static(b"x")).await.is_err());
            assert!(client.get(b"key").await.is_err());
            assert!(client.remove(b"key").await.is_err());
        }
        assert_eq!(node.store().stats().committed, 0);
        let client = with(Some("secret"));
        client.put(b"key", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(client.get(b"key").await.unwrap().unwrap(), "x");
    });
}

/// Sends random bytes behind the beginning of a connection, and to every call
/// behind the beginning of a message.
#[test]
fn random_bytes_end_connections_and_nothing_else() {
    runtime().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        let bytes = contents(b"key", 5000);
        client.put(b"key", bytes.clone()).await.unwrap();
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..60 {
            let mut garbage = vec![0; random.random_range(1..2000)];
            random.fill_bytes(&mut garbage);
            let address = node.address();
            tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_millis(50)))
                    .unwrap();
                if round % 2 == 0 {
                    stream
                        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                        .unwrap();
                }
                // The node may have hung up.
                let _ = stream.write_all(&garbage);
                let _ = stream.read(&mut [0; 100]);
            })
            .await
            .unwrap();
        }
        random_messages(&node, &mut random).await;
        assert_eq!(client.get(b"key").await.unwrap(), Some(bytes));
        node.store().check_invariants();
    });
}

/// Calls every method with messages of random fields.
async fn random_messages(node: &Node, random: &mut StdRng) {
    let mut calls = calls(node);
    let life = stats(&mut calls).await.life;
    for _ in 0..400 {
        let mut word = |most: u64| match random.random_range(0..4) {
            0 => random.next_u64(),
            _ => random.random_range(0..most),
        };
        let life = if word(4) == 0 { word(9) } else { life };
        let key = Bytes::copy_from_slice(&word(20).to_le_bytes()[..1]);
        let item = reserve_request::Item {
            key: key.clone(),
            bytes: word(4000),
            align: word(70),
            extents_max: u32::try_from(word(5) & 0xffff).unwrap(),
            parent: (word(2) == 0).then(|| key.clone()),
        };
        let (put, offset, deadline_ms) = (word(50), word(100), word(3000));
        let reserve = ReserveRequest {
            items: vec![item],
            deadline_ms,
        };
        let _ = calls.reserve(reserve).await;
        let bytes = contents(&key, 50);
        let write = WriteRequest {
            life,
            put,
            offset,
            bytes,
        };
        let _ = calls.write(stream::iter([write])).await;
        let checksum = Some(1);
        let items = vec![commit_request::Item {
            put,
            checksum,
            ..Default::default()
        }];
        let _ = calls.commit(CommitRequest { items, life }).await;
        let puts = vec![put ^ 1];
        let _ = calls.abort(AbortRequest { puts, life }).await;
        let lookup = LookupRequest {
            keys: vec![key.clone(); 3],
            lease_ms: deadline_ms,
            all_keys: put % 2 == 0,
        };
        let _ = calls.lookup(lookup).await;
        let read = ReadRequest {
            life,
            lease: put,
            objects: vec![u32::try_from(offset & 3).unwrap()],
        };
        if let Ok(stream) = calls.read(read).await {
            let _ = stream.into_inner().message().await;
        }
        let leases = vec![offset];
        let _ = calls.release(ReleaseRequest { leases, life }).await;
        let mode = i32::try_from(put % 5).unwrap();
        let keys = vec![key];
        let _ = calls.remove(RemoveRequest { keys, mode }).await;
    }
}

/// A node that answers lookups and reads as it likes.
struct Liar {
    lookup: fn(LookupRequest) -> LookupResponse,
    read: fn(u32) -> ReadResponse,
}

impl Liar {
    async fn serve(self) -> Members {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::builder().add_service(NodeServer::new(self));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Members::fixed(vec![Member::new("liar", address)]).unwrap()
    }
}

type Answered<T> = Result<Response<T>, Status>;

fn says_nothing<T>() -> Answered<T> {
    Err(Status::unimplemented("it only answers lookups and reads"))
}

#[tonic::async_trait]
impl node_server::Node for Liar {
    type ReadStream = stream::Iter<std::vec::IntoIter<Result<ReadResponse, Status>>>;

    async fn lookup(&self, request: Request<LookupRequest>) -> Answered<LookupResponse> {
        Ok(Response::new((self.lookup)(request.into_inner())))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Answered<Self::ReadStream> {
        let objects = request.into_inner().objects.into_iter();
        let read: Vec<_> = objects.map(|object| Ok((self.read)(object))).collect();
        Ok(Response::new(stream::iter(read)))
    }

    async fn reserve(&self, _: Request<ReserveRequest>) -> Answered<ReserveResponse> {
        says_nothing()
    }

    async fn commit(&self, _: Request<CommitRequest>) -> Answered<CommitResponse> {
        says_nothing()
    }

    async fn abort(&self, _: Request<AbortRequest>) -> Answered<AbortResponse> {
        says_nothing()
    }

    async fn release(&self, _: Request<ReleaseRequest>) -> Answered<ReleaseResponse> {
        says_nothing()
    }

    async fn remove(&self, _: Request<RemoveRequest>) -> Answered<RemoveResponse> {
        says_nothing()
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Answered<StatsResponse> {
        says_nothing()
    }

    async fn write(&self, _: Request<Streaming<WriteRequest>>) -> Answered<WriteResponse> {
        says_nothing()
    }

    async fn memory(&self, _: Request<MemoryRequest>) -> Answered<MemoryResponse> {
        says_nothing()
    }
}

#[test]
fn objects_that_were_not_asked_for_are_not_taken_for_those_of_other_keys() {
    runtime().block_on(async {
        let lookup = |_| LookupResponse {
            objects: vec![
                lookup_response::Object {
                    bytes: 1,
                    ..Default::default()
                };
                2
            ],
            life: 1,
            lease: 1,
            granted_ms: 10_000,
            ..Default::default()
        };
        let read = |object| ReadResponse {
            object,
            offset: 0,
            bytes: Bytes::from_static(b"?"),
        };
        let mut options = ClientOptions::default();
        options.batch = 1;
        let client = Client::new(Liar { lookup, read }.serve().await, options);
        let found = client.get_prefix(&[b"first", b"other"]).await.unwrap();
        assert!(found.is_empty(), "{found:?}");
    });
}
