//! Which hosts are asked: the members, without those that do not answer, and
//! who had the keys before that changed.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Instant};

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
    away: HashMap<String, Away>,
    /// Over the members that are not away.
    route: Arc<Route>,
    /// Until when the route is right if the members stay as they are, so that
    /// nothing has to be compared.
    stands: Stands,
    /// Routes of before, the latest first, and until when they count.
    former: VecDeque<(Arc<Route>, Instant)>,
}

/// A host that did not do what it was asked: others stand in for it.
#[derive(Debug)]
struct Away {
    /// When it is tried again.
    until: Instant,
    /// For how long it was left alone.
    pause: Duration,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It did not answer.
    Silent,
    /// It takes no puts; what it has can still be read.
    TakesNoPuts,
}

/// How long a route is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stands {
    /// Somebody has gone away or answered again.
    No,
    /// Until a host that is away is tried again.
    Until(Instant),
    /// Nobody is away.
    On,
}

/// Routes at one moment.
#[derive(Debug)]
pub(crate) struct Routes {
    now: Arc<Route>,
    former: Vec<Arc<Route>>,
    /// Names of hosts that do not answer; mostly none.
    silent: Vec<String>,
}

/// How long a host that is away is left alone: the first time, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Members behind the owners of a key that are asked for it if the owners are not
/// settled: as many may have come at the same time.
pub(crate) const STAND_INS_MAX: usize = 2;

/// Routes of before that are remembered.
const FORMER_MAX: usize = 4;

impl Hosts {
    pub(crate) fn new(members: Members, connection: Connection, former_for: Duration) -> Self {
        let now = members.now();
        let seen = Seen {
            members: Arc::clone(&now),
            calls: HashMap::new(),
            away: HashMap::new(),
            route: Arc::new(Route::new(now)),
            stands: Stands::On,
            former: VecDeque::new(),
        };
        Self {
            members,
            connection,
            former_for,
            seen: Mutex::new(seen),
        }
    }

    /// Follows the members as long as the hosts are used, so that no former owner
    /// is missed while nobody asks for anything.
    pub(crate) fn follow(self: &Arc<Self>, runtime: &Handle) {
        let (hosts, mut changes) = (Arc::downgrade(self), self.members.changes());
        runtime.spawn(async move {
            while changes.changed().await.is_ok() {
                let Some(hosts) = hosts.upgrade() else {
                    return;
                };
                hosts.routes();
            }
        });
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
        // One that is no member any more is not tried again.
        let is_member = |name: &String| seen.members.iter().any(|member| member.name == *name);
        let away = seen.away.iter();
        let silent = away.filter(|(name, away)| {
            away.why == Why::Silent && (now < away.until || !is_member(name))
        });
        Routes {
            now: Arc::clone(&seen.route),
            former: former.collect(),
            silent: silent.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Says whether keys may have other owners than in routes of before.
    pub(crate) fn have_changed(&self, routes: &Routes) -> bool {
        !Arc::ptr_eq(&self.routes().now, &routes.now)
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

    /// Takes note that a host did not answer.
    pub(crate) fn note_failure(&self, name: &str) {
        self.leave_alone(name, Why::Silent);
    }

    /// Takes note that a host refused to take puts.
    pub(crate) fn note_refusal(&self, name: &str) {
        self.leave_alone(name, Why::TakesNoPuts);
    }

    /// Takes note that a host answered.
    pub(crate) fn note_answer(&self, name: &str) {
        let mut seen = self.seen.lock();
        let away = seen.away.get(name);
        if away.is_some_and(|away| away.why == Why::Silent || away.until <= Instant::now()) {
            seen.away.remove(name);
            seen.stands = Stands::No;
        }
    }

    fn leave_alone(&self, name: &str, why: Why) {
        let now = Instant::now();
        let mut seen = self.seen.lock();
        let before = seen.away.get(name);
        if before
            .is_some_and(|away| now < away.until && (away.why == Why::Silent || away.why == why))
        {
            return;
        }
        let pause = before.map_or(PAUSE, |away| (away.pause * 2).min(PAUSE_MAX));
        seen.stands = Stands::No;
        let until = now + pause;
        seen.away
            .insert(name.to_owned(), Away { until, pause, why });
    }
}

impl Seen {
    /// Makes a new route if other members are there than before.
    fn look(&mut self, members: Arc<[Member]>, now: Instant, former_for: Duration) {
        self.former.retain(|(_, until)| now < *until);
        let is_same = Arc::ptr_eq(&members, &self.members);
        if is_same && self.stands > Stands::Until(now) {
            return;
        }
        if !is_same {
            self.members = members;
            let (route, former) = (&self.route, &self.former);
            let is_known = |name: &str| {
                let mut members = self.members.iter();
                members.any(|member| member.name == name)
                    || route.find(name).is_some()
                    || former.iter().any(|(route, _)| route.find(name).is_some())
            };
            // What is at another address by now was not asked yet.
            let is_elsewhere = |name: &str, address: &str| {
                let mut members = self.members.iter();
                members.any(|member| member.name == name && member.address != address)
            };
            let asked = &self.calls;
            self.away.retain(|name, _| {
                let asked = asked.get(name);
                is_known(name) && !asked.is_some_and(|(address, _)| is_elsewhere(name, address))
            });
            self.calls.retain(|name, _| is_known(name));
        }
        let ends = self.away.values().map(|away| away.until);
        let next = ends.filter(|until| now < *until).min();
        self.stands = next.map_or(Stands::On, Stands::Until);
        let is_there = |member: &&Member| {
            let away = self.away.get(&member.name);
            away.is_none_or(|away| away.until <= now)
        };
        let there = self.members.iter().filter(is_there);
        if there.clone().eq(self.route.members()) {
            return;
        }
        let route = Arc::new(Route::new(there.cloned().collect()));
        // A host that comes and goes makes the same two routes again and again.
        let before = std::mem::replace(&mut self.route, route);
        let is_another = |former: &Route| *former != *before && *former != *self.route;
        self.former.retain(|(former, _)| is_another(former));
        self.former.push_front((before, after(now, former_for)));
        self.former.truncate(FORMER_MAX);
    }
}

impl Routes {
    /// Returns how many members may own keys.
    pub(crate) fn len(&self) -> usize {
        self.now.members().len()
    }

    /// Returns the members that a key belongs to.
    pub(crate) fn owners(&self, key: &[u8], replicas: usize) -> Vec<&Member> {
        self.now.owners(key, replicas)
    }

    /// Returns the members that may have a key, the likeliest first: its owners,
    /// and its former owners that are not known to be silent.
    pub(crate) fn candidates(&self, key: &[u8], replicas: usize) -> Vec<&Member> {
        let mut all = self.owners(key, replicas);
        for route in &self.former {
            for former in route.owners(key, replicas) {
                if all.iter().any(|member| member.name == former.name) {
                    continue;
                }
                // As it is reached now.
                let present = self.now.find(&former.name);
                if present.is_some() || !self.silent.contains(&former.name) {
                    all.push(present.unwrap_or(former));
                }
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

    /// Makes it as if the pause of a host was over.
    fn end_pause(hosts: &Hosts, name: &str) {
        let mut seen = hosts.seen.lock();
        seen.away.get_mut(name).unwrap().until = Instant::now();
        seen.stands = Stands::No;
    }

    #[test]
    fn a_host_that_fails_is_left_alone_and_tried_again() {
        let hosts = hosts(Duration::from_secs(60));
        let owners = names(&hosts.routes().owners(b"key", 3));
        hosts.note_failure(&owners[0]);
        assert_eq!(names(&hosts.routes().owners(b"key", 3)), owners[1..]);
        end_pause(&hosts, &owners[0]);
        let routes = hosts.routes();
        assert_eq!(names(&routes.owners(b"key", 3)), owners);
        assert_eq!(
            names(&routes.candidates(b"key", 1)),
            owners[..2],
            "what was put meanwhile is where it was put"
        );
        hosts.note_failure(&owners[0]);
        let pause = hosts.seen.lock().away[&owners[0]].pause;
        assert_eq!(pause, PAUSE * 2);
        hosts.note_answer(&owners[0]);
        assert!(hosts.seen.lock().away.is_empty());
    }

    #[test]
    fn a_host_that_takes_no_puts_is_still_asked_for_what_it_has() {
        let hosts = hosts(Duration::from_secs(60));
        let before = hosts.routes();
        let owners = names(&before.owners(b"key", 3));
        hosts.note_refusal(&owners[0]);
        assert!(hosts.have_changed(&before));
        let candidates = |hosts: &Hosts| names(&hosts.routes().candidates(b"key", 1));
        assert_eq!(candidates(&hosts), [&*owners[1], &owners[0]]);
        hosts.note_answer(&owners[0]);
        assert_eq!(candidates(&hosts), [&*owners[1], &owners[0]], "to a lookup");
        hosts.note_failure(&owners[0]);
        assert_eq!(candidates(&hosts), owners[1..2], "silent by now");
    }

    #[test]
    fn a_host_that_left_the_list_is_asked_until_it_is_silent() {
        let (sender, members) = Members::parse("a=h:1,b=h:2,c=h:3").unwrap().channel();
        let hosts = Hosts::new(members, Connection::default(), Duration::from_secs(60));
        let owners = names(&hosts.routes().owners(b"key", 3));
        let stay = hosts.members();
        let stay = stay.iter().filter(|member| member.name != owners[0]);
        sender.send(stay.cloned().collect()).unwrap();
        let candidates = |hosts: &Hosts| names(&hosts.routes().candidates(b"key", 1));
        assert_eq!(candidates(&hosts), [&*owners[1], &owners[0]]);
        hosts.note_failure(&owners[0]);
        assert_eq!(candidates(&hosts), owners[1..2]);
        end_pause(&hosts, &owners[0]);
        assert_eq!(candidates(&hosts), owners[1..2], "it is not tried again");
    }

    #[tokio::test]
    async fn a_host_that_comes_back_at_another_address_is_asked_at_once() {
        let (sender, members) = Members::parse("a=h:1,b=h:2,c=h:3").unwrap().channel();
        let hosts = Hosts::new(members, Connection::default(), Duration::from_secs(60));
        let owner = hosts.routes().owners(b"key", 1)[0].clone();
        hosts.calls(&owner).unwrap();
        hosts.note_failure(&owner.name);
        let set = |address: Option<&str>| {
            let list = Members::parse("a=h:1,b=h:2,c=h:3").unwrap().now();
            let list = list
                .iter()
                .filter_map(|member| match member.name == owner.name {
                    true => Some(Member::new(&*owner.name, address?)),
                    false => Some(member.clone()),
                });
            sender.send(list.collect()).unwrap();
        };
        let first = || hosts.routes().owners(b"key", 1)[0].clone();
        set(None);
        assert_ne!(first().name, owner.name);
        set(Some(&owner.address));
        assert_ne!(first().name, owner.name, "it did not answer there");
        set(Some("h:9"));
        assert_eq!(first(), Member::new(&*owner.name, "h:9"));
    }

    #[test]
    fn a_host_that_comes_and_goes_drives_no_other_route_out() {
        let hosts = hosts(Duration::from_secs(60));
        let owners = names(&hosts.routes().owners(b"key", 3));
        hosts.note_failure(&owners[1]);
        for _ in 0..FORMER_MAX + 1 {
            hosts.routes();
            hosts.note_failure(&owners[0]);
            hosts.routes();
            end_pause(&hosts, &owners[0]);
        }
        hosts.routes();
        assert_eq!(hosts.seen.lock().former.len(), 2);
    }

    #[test]
    fn former_owners_are_forgotten_after_a_while() {
        let hosts = hosts(Duration::ZERO);
        let owner = names(&hosts.routes().owners(b"key", 1)).remove(0);
        hosts.note_failure(&owner);
        assert_eq!(hosts.routes().candidates(b"key", 1).len(), 1);
    }
}
