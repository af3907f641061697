//! The members of a scene: names under leases, and what clients see of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::members::{Member, Members};

/// Names under leases, as etcd keeps them.
#[derive(Clone, Debug)]
pub(super) struct Registry(Arc<Mutex<Entries>>);

#[derive(Debug)]
struct Entries {
    entries: BTreeMap<String, Entry>,
    list: watch::Sender<Arc<[Member]>>,
}

#[derive(Debug)]
struct Entry {
    /// Which life of the node has it.
    life: u64,
    until: Instant,
    member: Member,
}

/// How long an entry lasts after its node fell silent.
pub(super) const TIME_TO_LIVE: Duration = Duration::from_secs(10);

/// How often it is looked whether entries have ended.
const LOOK: Duration = Duration::from_millis(250);

impl Registry {
    pub(super) fn new() -> Self {
        let (list, _) = watch::channel(Arc::default());
        Self(Arc::new(Mutex::new(Entries {
            entries: BTreeMap::new(),
            list,
        })))
    }

    /// Enters a life of a node unless another has its name.
    pub(super) fn enter(&self, member: &Member, life: u64) -> bool {
        let now = Instant::now();
        let mut entries = self.0.lock();
        let other = entries.entries.get(&member.name);
        if other.is_some_and(|other| now < other.until) {
            return false;
        }
        let entry = Entry {
            life,
            until: now + TIME_TO_LIVE,
            member: member.clone(),
        };
        entries.entries.insert(member.name.clone(), entry);
        entries.publish();
        true
    }

    /// Renews an entry that has not ended.
    pub(super) fn renew(&self, name: &str, life: u64) -> bool {
        let now = Instant::now();
        let mut entries = self.0.lock();
        let entry = entries.entries.get_mut(name);
        let entry = entry.filter(|entry| entry.life == life && now < entry.until);
        let Some(entry) = entry else {
            return false;
        };
        entry.until = now + TIME_TO_LIVE;
        true
    }

    pub(super) fn revoke(&self, name: &str, life: u64) {
        let mut entries = self.0.lock();
        if entries
            .entries
            .get(name)
            .is_some_and(|entry| entry.life == life)
        {
            entries.entries.remove(name);
            entries.publish();
        }
    }

    /// Says whether a life of a node has its name.
    pub(super) fn holds(&self, name: &str, life: u64) -> bool {
        let now = Instant::now();
        let entries = self.0.lock();
        let entry = entries.entries.get(name);
        entry.is_some_and(|entry| entry.life == life && now < entry.until)
    }

    pub(super) fn members(&self) -> Arc<[Member]> {
        self.0.lock().members()
    }

    /// Returns what a client sees, each time so much later.
    pub(super) fn view(&self, delay: Duration) -> Members {
        let mut list = self.0.lock().list.subscribe();
        // Those that are there already are news to the client.
        list.mark_changed();
        let (view, members) = Members::parse("").expect("no members").channel();
        tokio::spawn(async move {
            while list.changed().await.is_ok() {
                sleep(delay).await;
                let seen = Arc::clone(&list.borrow_and_update());
                view.send_replace(seen);
            }
        });
        members
    }

    /// Ends entries in time.
    pub(super) async fn look(self) {
        loop {
            self.0.lock().end_late();
            sleep(LOOK).await;
        }
    }
}

impl Entries {
    fn members(&self) -> Arc<[Member]> {
        let entries = self.entries.values();
        entries.map(|entry| entry.member.clone()).collect()
    }

    fn end_late(&mut self) {
        let now = Instant::now();
        let before = self.entries.len();
        self.entries.retain(|_, entry| now < entry.until);
        if self.entries.len() != before {
            self.publish();
        }
    }

    fn publish(&self) {
        self.list.send_replace(self.members());
    }
}
