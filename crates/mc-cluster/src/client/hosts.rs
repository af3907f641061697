//! Which hosts are asked: the members, without those that do not answer, and
//! who had the keys before that changed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    ClientError,
    host::{Calls, Connection},
    route::Route,
};
use crate::{
    members::{Member, Members},
    time::after,
};

/// The hosts as a client sees them.
#[derive(Debug)]
pub(crate) struct Hosts {
    members: Members,
    connection: Connection,
    /// How long former owners of keys are asked too.
    former_for: Duration,
    /// Held for look-ups, and for making a route when something has changed.
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// The members at the last look.
    members: Arc<[Member]>,
    calls: HashMap<String, (String, Calls)>,
    down: HashMap<String, Down>,
    route: Arc<Route>,
    /// Routes of before, the latest first, and until when they count.
    former: VecDeque<(Arc<Route>, Instant)>,
}

/// A host that did not answer.
#[derive(Debug)]
struct Down {
    /// When it is tried again.
    until: Instant,
    /// For how long it was left alone.
    pause: Duration,
}

/// Routes at one moment.
#[derive(Debug)]
pub(crate) struct Routes {
    now: Arc<Route>,
    former: Vec<Arc<Route>>,
}

/// How long a host that did not answer is left alone: the first time, and at
/// most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Routes of before that are remembered.
const FORMER_MAX: usize = 4;

impl Hosts {
    pub(crate) fn new(members: Members, connection: Connection, former_for: Duration) -> Self {
        let now = members.now();
        let seen = Seen {
            members: Arc::clone(&now),
            calls: HashMap::new(),
            down: HashMap::new(),
            route: Arc::new(Route::new(now)),
            former: VecDeque::new(),
        };
        Self {
            members,
            connection,
            former_for,
            seen: Mutex::new(seen),
        }
    }

    /// Returns the members, whether they answer or not.
    pub(crate) fn members(&self) -> Arc<[Member]> {
        self.members.now()
    }

    /// Returns the routes of the moment.
    pub(crate) fn routes(&self) -> Routes {
        let now = Instant::now();
        let mut seen = self.seen.lock();
        seen.look(self.members.now(), now, self.former_for);
        let former = seen.former.iter().map(|(route, _)| Arc::clone(route));
        Routes {
            now: Arc::clone(&seen.route),
            former: former.collect(),
        }
    }

    /// Returns the calls of a member.
    pub(crate) fn calls(&self, member: &Member) -> Result<Calls, ClientError> {
        let mut seen = self.seen.lock();
        if let Some((address, calls)) = seen.calls.get(&member.name)
            && *address == member.address
        {
            return Ok(calls.clone());
        }
        let calls = self.connection.calls(&member.address)?;
        let entry = (member.address.clone(), calls.clone());
        seen.calls.insert(member.name.clone(), entry);
        Ok(calls)
    }

    /// Takes note that a host did not answer: others stand in for it.
    pub(crate) fn note_failure(&self, name: &str) {
        let now = Instant::now();
        let mut seen = self.seen.lock();
        let before = seen.down.get(name);
        if before.is_some_and(|down| now < down.until) {
            return;
        }
        let pause = before.map_or(PAUSE, |down| (down.pause * 2).min(PAUSE_MAX));
        let down = Down {
            until: now + pause,
            pause,
        };
        seen.down.insert(name.to_owned(), down);
    }

    /// Takes note that a host answered.
    pub(crate) fn note_answer(&self, name: &str) {
        let mut seen = self.seen.lock();
        if !seen.down.is_empty() {
            seen.down.remove(name);
        }
    }
}

impl Seen {
    /// Makes a new route if other members answer than before.
    fn look(&mut self, members: Arc<[Member]>, now: Instant, former_for: Duration) {
        if !Arc::ptr_eq(&members, &self.members) {
            let is_member = |name: &String| members.iter().any(|member| member.name == *name);
            self.calls.retain(|name, _| is_member(name));
            self.down.retain(|name, _| is_member(name));
            self.members = members;
        }
        self.former.retain(|(_, until)| now < *until);
        let is_up = |member: &&Member| {
            let down = self.down.get(&member.name);
            down.is_none_or(|down| down.until <= now)
        };
        let up = self.members.iter().filter(is_up);
        if up.clone().eq(self.route.members()) {
            return;
        }
        let route = Arc::new(Route::new(up.cloned().collect()));
        let before = std::mem::replace(&mut self.route, route);
        self.former.push_front((before, after(now, former_for)));
        self.former.truncate(FORMER_MAX);
    }
}

impl Routes {
    /// Returns the members that a key belongs to.
    pub(crate) fn owners(&self, key: &[u8], replicas: usize) -> Vec<&Member> {
        self.now.owners(key, replicas)
    }

    /// Returns the members that may have a key, the likeliest first: its owners,
    /// and its former owners that still answer.
    pub(crate) fn candidates(&self, key: &[u8], replicas: usize) -> Vec<&Member> {
        let mut all = self.owners(key, replicas);
        for route in &self.former {
            for former in route.owners(key, replicas) {
                let is_known = all.iter().any(|member| member.name == former.name);
                // As it is reached now.
                let mut members = self.now.members().iter();
                let member = members.find(|member| member.name == former.name);
                all.extend(member.filter(|_| !is_known));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(former_for: Duration) -> Hosts {
        let members = Members::parse("a=h:1,b=h:2,c=h:3").unwrap();
        Hosts::new(members, Connection::default(), former_for)
    }

    fn names(members: &[&Member]) -> Vec<String> {
        members.iter().map(|member| member.name.clone()).collect()
    }

    #[test]
    fn a_host_that_fails_is_left_alone_and_tried_again() {
        let hosts = hosts(Duration::from_secs(60));
        let owners = names(&hosts.routes().owners(b"key", 3));
        hosts.note_failure(&owners[0]);
        assert_eq!(names(&hosts.routes().owners(b"key", 3)), owners[1..]);
        // As if its pause was over.
        hosts.seen.lock().down.get_mut(&owners[0]).unwrap().until = Instant::now();
        let routes = hosts.routes();
        assert_eq!(names(&routes.owners(b"key", 3)), owners);
        assert_eq!(
            names(&routes.candidates(b"key", 1)),
            owners[..2],
            "what was put meanwhile is where it was put"
        );
        hosts.note_failure(&owners[0]);
        let pause = hosts.seen.lock().down[&owners[0]].pause;
        assert_eq!(pause, PAUSE * 2);
        hosts.note_answer(&owners[0]);
        assert!(hosts.seen.lock().down.is_empty());
    }

    #[test]
    fn former_owners_are_forgotten_after_a_while() {
        let hosts = hosts(Duration::ZERO);
        let owner = names(&hosts.routes().owners(b"key", 1)).remove(0);
        hosts.note_failure(&owner);
        assert_eq!(hosts.routes().candidates(b"key", 1).len(), 1);
    }
}
