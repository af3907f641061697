//! One put and one get, step by step, in this process or in one that is killed.

use std::error::Error;

use bytes::Bytes;
use futures_util::stream;
use mc_cluster::{
    client::{Calls, Connection},
    wire::{
        CommitRequest, LookupRequest, Outcome, ReadRequest, ReserveRequest, WriteRequest,
        commit_request, reserve_request,
    },
};
use tonic::Status;

use crate::common::console::tell;

/// Between these steps something may happen: before anything, reserved, half
/// written, written, committed, looked up, half read, read.
pub(super) const STEPS: usize = 8;

/// More than one message may have, so that there is a moment in between.
const OBJECT_BYTES: usize = 1_500_000;

/// What a client says when it has come to its step.
pub(super) const AT_STEP: &str = "at the step";

/// What it says of the bytes in the end.
pub(super) const RIGHT: &str = "right bytes";
pub(super) const WRONG: &str = "wrong bytes";
pub(super) const NONE: &str = "no bytes";

/// How an attempt ended that no call refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Right,
    Wrong,
    Nothing,
}

/// Returns the bytes that belong to a key and to no other.
pub(super) fn contents(key: &[u8], len: usize) -> Bytes {
    let mut word = u64::from(crc32fast::hash(key)) << 20 | 1;
    let bytes = (0..len).map(|_| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_be_bytes()[0]
    });
    bytes.collect()
}

/// Puts and gets an object; `at_step` is called between the steps.
pub(super) async fn perform(
    mut calls: Calls,
    key: &[u8],
    mut at_step: impl AsyncFnMut(usize),
) -> Result<Read, Status> {
    let bytes = contents(key, OBJECT_BYTES);
    let key = Bytes::copy_from_slice(key);
    at_step(0).await;
    let request = ReserveRequest {
        items: vec![reserve_request::Item {
            key: key.clone(),
            bytes: bytes.len() as u64,
            ..Default::default()
        }],
        deadline_ms: 0,
    };
    let reserved = calls.reserve(request).await?.into_inner();
    let (life, put) = (reserved.life, reserved.items[0].put);
    at_step(1).await;
    let half = OBJECT_BYTES / 2;
    for (step, range) in [(2, 0..half), (3, half..OBJECT_BYTES)] {
        let offset = range.start as u64;
        let bytes = bytes.slice(range);
        let chunk = WriteRequest {
            life,
            put,
            offset,
            bytes,
        };
        calls.write(stream::iter([chunk])).await?;
        at_step(step).await;
    }
    let item = commit_request::Item {
        put,
        checksum: Some(crc32fast::hash(&bytes)),
        ..Default::default()
    };
    let items = vec![item];
    let committed = calls.commit(CommitRequest { items, life }).await?;
    let outcome = committed.into_inner().outcomes().next();
    if outcome != Some(Outcome::Done) {
        return Ok(Read::Nothing);
    }
    at_step(4).await;
    read(calls, key, &bytes, at_step).await
}

async fn read(
    mut calls: Calls,
    key: Bytes,
    expected: &Bytes,
    mut at_step: impl AsyncFnMut(usize),
) -> Result<Read, Status> {
    let request = LookupRequest {
        keys: vec![key],
        lease_ms: 2000,
        all_keys: false,
    };
    let found = calls.lookup(request).await?.into_inner();
    if found.objects.is_empty() {
        return Ok(Read::Nothing);
    }
    at_step(5).await;
    let request = ReadRequest {
        life: found.life,
        lease: found.lease,
        objects: vec![0],
    };
    let mut chunks = calls.read(request).await?.into_inner();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        if read.is_empty() {
            at_step(6).await;
        }
        read.extend_from_slice(&chunk.bytes);
    }
    at_step(7).await;
    match read == *expected {
        true => Ok(Read::Right),
        false => Ok(Read::Wrong),
    }
}

/// The same as a process, which waits at a step until it is told to go on.
pub(crate) async fn run(address: &str, key: &str, step: &str) -> Result<(), Box<dyn Error>> {
    let step: usize = step.parse()?;
    let calls = Connection::default().calls(address)?;
    let read = perform(calls, key.as_bytes(), async |now| {
        if now == step {
            // Killed or frozen while it waits; a frozen one goes on.
            let _ = tell(AT_STEP);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
    .await;
    tell(match read {
        Ok(Read::Right) => RIGHT,
        Ok(Read::Wrong) => WRONG,
        Ok(Read::Nothing) | Err(_) => NONE,
    })?;
    Ok(())
}
