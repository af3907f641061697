//! The part of etcd's interface that members are kept with, generated from
//! `proto/etcd.proto`.
#![expect(
    unreachable_pub,
    unused_qualifications,
    clippy::doc_markdown,
    clippy::allow_attributes_without_reason,
    reason = "generated; the interface is etcd's"
)]

pub(crate) mod mvccpb {
    tonic::include_proto!("mvccpb");
}

pub(crate) mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
