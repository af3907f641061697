//! The members that etcd knows, and their changes.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use tonic::transport::Channel;

use super::{
    Member,
    etcd::{Etcd, EtcdError, PAUSE, within_time},
    interface::{
        RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse, event::EventType,
        kv_client::KvClient, watch_client::WatchClient, watch_request::RequestUnion,
    },
};

/// The members under their keys, as of a revision of etcd.
struct Read {
    members: BTreeMap<Vec<u8>, Member>,
    revision: i64,
}

/// Why following the changes came to an end.
enum End {
    /// The revisions that would be next are forgotten: all has to be read again.
    Compacted,
    /// The stream ended; it can go on where it was.
    Broken,
    /// Nobody wants to know any more.
    Unwanted,
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
        match changes(&etcd, &channel, &mut now, &sender).await {
            Ok(End::Unwanted) => return,
            Ok(End::Compacted) => {
                if let Ok(all) = read(&etcd, &channel).await {
                    now = all;
                    publish(&sender, &now.members);
                }
            }
            // What was known stays until more is.
            Ok(End::Broken) | Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

async fn read(etcd: &Etcd, channel: &Channel) -> Result<Read, EtcdError> {
    let (key, range_end) = etcd.range();
    let mut keys = KvClient::new(channel.clone());
    let answer = within_time(keys.range(RangeRequest { key, range_end })).await?;
    let entries = answer.kvs.into_iter();
    let members = entries.filter_map(|entry| Some((entry.key, parse(&entry.value)?)));
    Ok(Read {
        members: members.collect(),
        revision: answer.header.map_or(0, |header| header.revision),
    })
}

/// Follows changes from the revision behind the one that is known.
async fn changes(
    etcd: &Etcd,
    channel: &Channel,
    now: &mut Read,
    sender: &List,
) -> Result<End, EtcdError> {
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
    let requests = stream::iter([request]).chain(stream::pending());
    let mut watches = WatchClient::new(channel.clone());
    let mut answers = within_time(watches.watch(requests)).await?;
    while let Some(answer) = answers.message().await? {
        if answer.compact_revision > 0 {
            return Ok(End::Compacted);
        }
        if answer.canceled {
            return Ok(End::Broken);
        }
        apply(answer, now);
        publish(sender, &now.members);
        if sender.is_closed() {
            return Ok(End::Unwanted);
        }
    }
    Ok(End::Broken)
}

fn apply(answer: WatchResponse, now: &mut Read) {
    for event in answer.events {
        let kind = event.r#type();
        let Some(entry) = event.kv else {
            continue;
        };
        now.revision = now.revision.max(entry.mod_revision);
        match parse(&entry.value).filter(|_| kind == EventType::Put) {
            Some(member) => now.members.insert(entry.key, member),
            None => now.members.remove(&entry.key),
        };
    }
}

/// Returns a member unless another program has written something else there.
fn parse(value: &[u8]) -> Option<Member> {
    let member: Member = serde_json::from_slice(value).ok()?;
    member.has_weight().then_some(member)
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
    use super::{
        super::interface::{Event, KeyValue},
        *,
    };

    fn event(kind: EventType, name: &str, weight: &str, mod_revision: i64) -> Event {
        let value = format!(r#"{{"name":"{name}","address":"h:1","weight":{weight},"new":0}}"#);
        let entry = KeyValue {
            key: name.as_bytes().to_vec(),
            value: value.into_bytes(),
            mod_revision,
        };
        Event {
            r#type: kind.into(),
            kv: Some(entry),
        }
    }

    #[test]
    fn changes_are_applied_and_what_is_no_member_is_none() {
        let mut now = Read {
            members: BTreeMap::new(),
            revision: 3,
        };
        let mut check = |events: Vec<Event>, names: &[&str], revision| {
            let answer = WatchResponse {
                events,
                ..Default::default()
            };
            apply(answer, &mut now);
            let list = list(&now.members);
            let found: Vec<_> = list.iter().map(|member| &*member.name).collect();
            assert_eq!((&*found, now.revision), (names, revision));
        };
        let (put, delete) = (EventType::Put, EventType::Delete);
        let both = vec![event(put, "b", "1", 5), event(put, "a", "0.5", 4)];
        check(both, &["a", "b"], 5);
        check(vec![event(delete, "a", "1", 6)], &["b"], 6);
        for (weight, revision) in [("0", 7), ("-1", 8), ("\"x\"", 9)] {
            check(vec![event(put, "c", weight, revision)], &["b"], revision);
        }
        check(vec![event(put, "b", "0", 10)], &[], 10);
    }
}
