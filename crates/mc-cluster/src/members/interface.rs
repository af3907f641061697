//! The part of etcd's interface that members are kept with, generated from
//! `proto/etcd.proto`.
#![expect(
    unreachable_pub,
    unused_qualifications,
    clippy::doc_markdown,
    clippy::allow_attributes_without_reason,
    reason = "generated; the interface is etcd's"
)]
#![cfg_attr(
    test,
    expect(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "servers are generated as well"
    )
)]

tonic::include_proto!("etcdserverpb");
