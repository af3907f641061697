//! The members that etcd knows, and their changes.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Request, Status, Streaming, metadata::MetadataValue, transport::Channel};

use super::{
    Member,
    etcd::{ANSWER_BYTES_MAX, CALL_TIME, Etcd, EtcdError, PAUSE, within_time},
    interface::{
        KeyValue, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse, event::EventType,
        kv_client::KvClient, watch_client::WatchClient, watch_request::RequestUnion,
    },
};

/// The members under their keys, and the revision of etcd that they were read at.
struct Read {
    members: BTreeMap<Vec<u8>, Member>,
    revision: i64,
}

/// What was read, and what changed since its watch began.
struct Followed {
    now: Read,
    changes: Streaming<WatchResponse>,
}

type List = watch::Sender<Arc<[Member]>>;

/// Reads the members, and follows their changes in a task.
pub(super) async fn follow(
    etcd: Etcd,
) -> Result<(watch::Receiver<Arc<[Member]>>, JoinHandle<()>), EtcdError> {
    let channel = etcd.channel()?;
    let followed = begin(&etcd, &channel).await?;
    let (sender, receiver) = watch::channel(list(&followed.now.members));
    Ok((
        receiver,
        tokio::spawn(follow_on(etcd, channel, followed, sender)),
    ))
}

async fn follow_on(etcd: Etcd, channel: Channel, mut followed: Followed, sender: List) {
    loop {
        let Followed {
            mut now,
            mut changes,
        } = followed;
        while let Ok(Some(answer)) = changes.message().await
            && !answer.canceled
        {
            apply(&etcd, answer, &mut now);
            publish(&sender, &now.members);
        }
        // What was known stays until more is. The revisions that would be next may be
        // forgotten, or be those of an etcd that began anew: all is read again.
        followed = loop {
            sleep(PAUSE).await;
            if let Ok(begun) = begin(&etcd, &channel).await {
                break begun;
            }
        };
        publish(&sender, &followed.now.members);
    }
}

/// Watches, and then reads: an etcd that begins anew in between ends the watch. One
/// that began anew before a watch that asks for a revision would wait for it.
async fn begin(etcd: &Etcd, channel: &Channel) -> Result<Followed, EtcdError> {
    let mut changes = changes(etcd, channel).await?;
    let created = timeout(CALL_TIME, changes.message()).await;
    let created = created.map_err(|_| Status::deadline_exceeded("etcd begins no watch"))?;
    if created?.is_none_or(|answer| answer.canceled) {
        return Err(EtcdError::Ended);
    }
    let now = read(etcd, channel).await?;
    Ok(Followed { now, changes })
}

async fn read(etcd: &Etcd, channel: &Channel) -> Result<Read, EtcdError> {
    let (key, range_end) = etcd.range();
    let keys = KvClient::new(channel.clone());
    let mut keys = keys.max_decoding_message_size(ANSWER_BYTES_MAX);
    let answer = within_time(keys.range(RangeRequest { key, range_end })).await?;
    let entries = answer.kvs.into_iter();
    let members = entries.filter_map(|entry| {
        let member = parse(etcd, &entry)?;
        Some((entry.key, member))
    });
    Ok(Read {
        members: members.collect(),
        revision: answer.header.map_or(0, |header| header.revision),
    })
}

/// Asks for the changes from now on.
async fn changes(etcd: &Etcd, channel: &Channel) -> Result<Streaming<WatchResponse>, EtcdError> {
    let (key, range_end) = etcd.range();
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
            key,
            range_end,
        })),
    };
    // etcd watches until the stream of requests ends.
    let mut requests = Request::new(stream::iter([request]).chain(stream::pending()));
    // Without this it goes on to say nothing when it has lost the others.
    let wanted = MetadataValue::from_static("true");
    requests.metadata_mut().insert("hasleader", wanted);
    let watches = WatchClient::new(channel.clone());
    let mut watches = watches.max_decoding_message_size(ANSWER_BYTES_MAX);
    within_time(watches.watch(requests)).await
}

fn apply(etcd: &Etcd, answer: WatchResponse, now: &mut Read) {
    for event in answer.events {
        let kind = event.r#type();
        // What came between the watch and the read was read.
        let Some(entry) = event.kv.filter(|entry| entry.mod_revision > now.revision) else {
            continue;
        };
        match parse(etcd, &entry).filter(|_| kind == EventType::Put) {
            Some(member) => now.members.insert(entry.key, member),
            None => now.members.remove(&entry.key),
        };
    }
}

/// Returns the member of an entry, unless another program has written something
/// else there.
fn parse(etcd: &Etcd, entry: &KeyValue) -> Option<Member> {
    let member: Member = serde_json::from_slice(&entry.value).ok()?;
    // Under another key it could have the name of another.
    let is_own = etcd.key(&member.name) == entry.key;
    (is_own && member.has_weight() && member.has_address()).then_some(member)
}

fn list(members: &BTreeMap<Vec<u8>, Member>) -> Arc<[Member]> {
    members.values().cloned().collect()
}

/// Tells of the members if they are others than before.
fn publish(sender: &List, members: &BTreeMap<Vec<u8>, Member>) {
    let members = list(members);
    sender.send_if_modified(|known| {
        let is_new = **known != *members;
        *known = members;
        is_new
    });
}

#[cfg(test)]
mod tests {
    use super::{super::interface::Event, *};

    fn event(kind: EventType, key: Vec<u8>, value: &str, mod_revision: i64) -> Event {
        let entry = KeyValue {
            key,
            value: value.as_bytes().to_vec(),
            mod_revision,
            ..KeyValue::default()
        };
        Event {
            r#type: kind.into(),
            kv: Some(entry),
        }
    }

    #[test]
    fn changes_are_applied_and_what_is_no_member_is_none() {
        let etcd = Etcd::new(Vec::new());
        let (put, delete) = (EventType::Put, EventType::Delete);
        let of = |kind, name: &str, weight: &str, address: &str, revision| {
            let value =
                format!(r#"{{"name":"{name}","address":"{address}","weight":{weight},"new":0}}"#);
            event(kind, etcd.key(name), &value, revision)
        };
        let mut now = Read {
            members: BTreeMap::new(),
            revision: 3,
        };
        let mut check = |events: Vec<Event>, names: &[&str]| {
            let answer = WatchResponse {
                events,
                ..Default::default()
            };
            apply(&etcd, answer, &mut now);
            let list = list(&now.members);
            let found: Vec<_> = list.iter().map(|member| &*member.name).collect();
            assert_eq!(found, names);
        };
        let both = vec![of(put, "b", "1", "h:1", 5), of(put, "a", "0.5", "h:1", 4)];
        check(both, &["a", "b"]);
        check(vec![event(delete, etcd.key("a"), "", 6)], &["b"]);
        for (weight, revision) in [("0", 7), ("-1", 8), ("\"x\"", 9)] {
            check(vec![of(put, "c", weight, "h:1", revision)], &["b"]);
        }
        for (address, revision) in [("", 10), ("h", 11), ("h h:1", 12), ("h:70000", 13)] {
            check(vec![of(put, "c", "1", address, revision)], &["b"]);
        }
        // The name of another.
        let value = r#"{"name":"b","address":"h:2","weight":1}"#;
        check(vec![event(put, etcd.key("c"), value, 14)], &["b"]);
        // What was read already.
        let read = vec![
            of(put, "c", "1", "h:1", 2),
            event(delete, etcd.key("b"), "", 3),
        ];
        check(read, &["b"]);
        check(vec![of(put, "b", "0", "h:1", 15)], &[]);
    }
}
