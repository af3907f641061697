//! The members that etcd knows, and their changes.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use super::{
    Member,
    etcd::{ANSWER_BYTES_MAX, Etcd, EtcdError, PAUSE, within_time},
    interface::{
        KeyValue, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse, event::EventType,
        kv_client::KvClient, watch_client::WatchClient, watch_request::RequestUnion,
    },
};

/// The members under their keys, as of a revision of etcd.
struct Read {
    members: BTreeMap<Vec<u8>, Member>,
    revision: i64,
}

type List = watch::Sender<Arc<[Member]>>;

/// Reads the members, and follows their changes in a task.
pub(super) async fn follow(
    etcd: Etcd,
) -> Result<(watch::Receiver<Arc<[Member]>>, JoinHandle<()>), EtcdError> {
    let channel = etcd.channel()?;
    let read = read(&etcd, &channel).await?;
    let (sender, receiver) = watch::channel(list(&read.members));
    Ok((
        receiver,
        tokio::spawn(follow_on(etcd, channel, read, sender)),
    ))
}

async fn follow_on(etcd: Etcd, channel: Channel, mut now: Read, sender: List) {
    loop {
        // What was known stays until more is.
        let _ = changes(&etcd, &channel, &mut now, &sender).await;
        // The revisions that would be next may be forgotten, or be those of an etcd
        // that began anew: all is read again.
        now = loop {
            sleep(PAUSE).await;
            if let Ok(all) = read(&etcd, &channel).await {
                break all;
            }
        };
        publish(&sender, &now.members);
    }
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

/// Follows changes from the revision behind the one that is known, until etcd does
/// not tell of them any more.
async fn changes(
    etcd: &Etcd,
    channel: &Channel,
    now: &mut Read,
    sender: &List,
) -> Result<(), EtcdError> {
    let (key, range_end) = etcd.range();
    let create = WatchCreateRequest {
        key,
        range_end,
        start_revision: now.revision + 1,
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    // etcd watches until the stream of requests ends.
    let mut requests = Request::new(stream::iter([request]).chain(stream::pending()));
    // Without this it goes on to say nothing when it has lost the others.
    let wanted = MetadataValue::from_static("true");
    requests.metadata_mut().insert("hasleader", wanted);
    let watches = WatchClient::new(channel.clone());
    let mut watches = watches.max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut answers = within_time(watches.watch(requests)).await?;
    while let Some(answer) = answers.message().await? {
        if answer.canceled {
            break;
        }
        apply(etcd, answer, now);
        publish(sender, &now.members);
    }
    Ok(())
}

fn apply(etcd: &Etcd, answer: WatchResponse, now: &mut Read) {
    for event in answer.events {
        let kind = event.r#type();
        let Some(entry) = event.kv else {
            continue;
        };
        now.revision = now.revision.max(entry.mod_revision);
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
        let mut check = |events: Vec<Event>, names: &[&str], revision| {
            let answer = WatchResponse {
                events,
                ..Default::default()
            };
            apply(&etcd, answer, &mut now);
            let list = list(&now.members);
            let found: Vec<_> = list.iter().map(|member| &*member.name).collect();
            assert_eq!((&*found, now.revision), (names, revision));
        };
        let both = vec![of(put, "b", "1", "h:1", 5), of(put, "a", "0.5", "h:1", 4)];
        check(both, &["a", "b"], 5);
        check(vec![event(delete, etcd.key("a"), "", 6)], &["b"], 6);
        for (weight, revision) in [("0", 7), ("-1", 8), ("\"x\"", 9)] {
            check(
                vec![of(put, "c", weight, "h:1", revision)],
                &["b"],
                revision,
            );
        }
        for (address, revision) in [("", 10), ("h", 11), ("h h:1", 12), ("h:70000", 13)] {
            check(vec![of(put, "c", "1", address, revision)], &["b"], revision);
        }
        // The name of another.
        let value = r#"{"name":"b","address":"h:2","weight":1}"#;
        check(vec![event(put, etcd.key("c"), value, 14)], &["b"], 14);
        check(vec![of(put, "b", "0", "h:1", 15)], &[], 15);
    }
}
