//! What goes over the wire, generated from `proto/mc_cluster.proto`.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; the file in proto/ says what it means"
)]

tonic::include_proto!("mc.cluster.v1");
