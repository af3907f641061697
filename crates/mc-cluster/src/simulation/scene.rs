//! What happens in a scene, and what is measured.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{
    ScenePlan, SceneReport,
    network::Host,
    nodes::{ALL_ENDED, Drains, Nodes, address},
};
use crate::{
    client::{Client, ClientOptions, Connection, Route},
    limits::Limits,
    time::passed_in_scene,
    wire::{LookupRequest, ReserveRequest, reserve_request},
};

struct Scene {
    plan: ScenePlan,
    nodes: Nodes,
    clients: Vec<Client>,
    random: StdRng,
    /// Nodes that were started so far.
    started: usize,
    /// Objects that were put so far, whether or not that was acknowledged.
    objects: usize,
    /// Those of the beginning that were acknowledged.
    stored: Vec<usize>,
    report: SceneReport,
}

/// Objects of one call of a client.
const BATCH: usize = 256;

/// Objects of one call while the nodes are filled: many for each of them.
const FILL_BATCH: usize = 1 << 17;

/// Nodes that join, one after another.
const JOINS: usize = 3;

/// Keys whose owners are compared.
const KEYS_COMPARED: usize = 20_000;

/// What an object and its share of tables and slack take of a node's memory.
const BYTES_PER_OBJECT: usize = 4 * 64;

/// How long news of members and of each other take.
const SETTLED: Duration = Duration::from_secs(2);

pub(super) async fn play(plan: ScenePlan) -> SceneReport {
    let bytes = plan.objects.div_ceil(plan.nodes).max(64) * BYTES_PER_OBJECT;
    let nodes = Nodes::new(
        plan.seed,
        bytes.next_multiple_of(4096) as u64,
        Limits::default(),
    );
    tokio::spawn(nodes.registry.clone().look());
    let clients = (0..plan.clients).map(|number| client(&nodes, number));
    let mut scene = Scene {
        plan,
        clients: clients.collect(),
        nodes,
        random: StdRng::seed_from_u64(plan.seed ^ 0x5ce9e),
        started: 0,
        objects: 0,
        stored: Vec::new(),
        report: SceneReport::default(),
    };
    scene.begin().await;
    scene.join().await;
    scene.die_silently().await;
    scene.fail().await;
    scene.restart().await;
    scene.end().await
}

fn client(nodes: &Nodes, number: usize) -> Client {
    let members = nodes
        .registry
        .view(Duration::from_millis(20 + 30 * number as u64));
    let connection = Connection {
        carrier: Some(Arc::new(nodes.network.side(number))),
        ..Connection::default()
    };
    let options = ClientOptions {
        connection,
        ..ClientOptions::default()
    };
    Client::new(members, options)
}

fn name(number: usize) -> String {
    format!("node-{number}")
}

fn key(number: usize) -> Bytes {
    format!("prompt/{number}").into()
}

/// Returns bytes that no other object has.
fn contents(number: usize) -> Bytes {
    let text = format!(
        "{:016x}",
        (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    );
    text.repeat(1 + number % 3).into()
}

impl Scene {
    /// Fills an empty cluster, and looks at how evenly.
    async fn begin(&mut self) {
        for _ in 0..self.plan.nodes {
            self.start_another();
        }
        sleep(SETTLED).await;
        let last = self.plan.sample.min(self.plan.objects);
        self.stored = self.put(self.plan.objects - last, FILL_BATCH).await;
        let before = self.nodes.network.calls();
        let puts = self.put(last, BATCH).await;
        let calls = self.nodes.network.calls();
        self.report.calls_per_put = (calls - before) as f64 / puts.len() as f64;
        self.stored.extend(puts);
        let puts = self.stored.len();
        if puts != self.plan.objects {
            let text = format!("{puts} of {} puts were taken", self.plan.objects);
            self.nodes.oracle.broken(text);
        }
        let loads = self.nodes.objects();
        let mean = loads.iter().sum::<u64>() as f64 / loads.len() as f64;
        let of_mean = |load: Option<&u64>| load.copied().unwrap_or_default() as f64 / mean;
        self.report.load_max = of_mean(loads.iter().max());
        self.report.load_min = of_mean(loads.iter().min());
        let sample = self.sample();
        let hits = self.read(&sample).await;
        self.report.hits_at_first = hits as f64 / sample.len() as f64;
        let calls = self.nodes.network.calls() - calls;
        self.report.calls_per_get = calls as f64 / sample.len() as f64;
    }

    /// Adds nodes one after another.
    async fn join(&mut self) {
        for _ in 0..JOINS {
            let before = Route::new(self.nodes.registry.members());
            self.start_another();
            sleep(SETTLED).await;
            let after = Route::new(self.nodes.registry.members());
            let has_moved = |number: &usize| {
                let key = key(*number);
                before.owners(&key, 1)[0].name != after.owners(&key, 1)[0].name
            };
            let moved = (0..KEYS_COMPARED).filter(has_moved).count() as f64;
            let moved = moved / KEYS_COMPARED as f64;
            self.report.moved_by_join = self.report.moved_by_join.max(moved);
            self.report.moved_evenly = 1.0 / after.members().len() as f64;
        }
        let sample = self.sample();
        let hits = self.read(&sample).await;
        self.report.hits_after_joins = hits as f64 / sample.len() as f64;
    }

    /// Has the machine of a node vanish, while clients go on to want its keys.
    async fn die_silently(&mut self) {
        let lost = self.any_node();
        let route = Route::new(self.nodes.registry.members());
        let is_its = |number: &&usize| route.owners(&key(**number), 1)[0].name == lost;
        let wanted: Vec<_> = self
            .stored
            .iter()
            .filter(is_its)
            .take(16)
            .copied()
            .collect();
        self.nodes.network.take_last_in_vain();
        let death = Instant::now();
        self.nodes.kill(&lost, Host::Silent);
        while death.elapsed() < Duration::from_secs(60) {
            self.read(&wanted).await;
            sleep(Duration::from_millis(500)).await;
        }
        let last = self.nodes.network.take_last_in_vain().unwrap_or(death);
        self.report.silent_for = last - death;
        // Under its name, with nothing of before.
        self.nodes.start(&lost);
        sleep(SETTLED).await;
    }

    /// Lets all kinds of failures happen while clients work.
    async fn fail(&mut self) {
        let mut dead: BTreeSet<String> = BTreeSet::new();
        for _ in 0..self.plan.rounds {
            self.nodes.network.heal();
            for name in std::mem::take(&mut dead) {
                self.nodes.start(&name);
            }
            for host in [Host::Silent, Host::Refusing] {
                let name = self.any_node();
                self.nodes.kill(&name, host);
                dead.insert(name);
            }
            let cut_off = [(); 3].map(|()| self.any_node());
            cut_off
                .iter()
                .for_each(|name| self.nodes.cut_off(name, true));
            for _ in 0..3 {
                let (side, name) = (
                    self.random.random_range(0..self.clients.len()),
                    self.any_node(),
                );
                self.nodes.network.cut(side, &address(&name));
                let delay = Duration::from_millis(self.random.random_range(100..2500));
                let slow = self.any_node();
                self.nodes.network.slow_down(&address(&slow), delay);
            }
            self.leave_things_behind().await;
            let end = Instant::now() + Duration::from_secs(14);
            while Instant::now() < end {
                let (new, sample) = (self.plan.sample / 50, self.sample());
                self.put(new.max(1), BATCH).await;
                self.read(&sample[..sample.len().div_ceil(10)]).await;
                sleep(Duration::from_millis(700)).await;
            }
            cut_off
                .iter()
                .for_each(|name| self.nodes.cut_off(name, false));
        }
        self.nodes.network.heal();
        dead.iter().for_each(|name| self.nodes.start(name));
        // Until clients try all hosts again.
        sleep(Duration::from_secs(40)).await;
        let sample = self.sample();
        let hits = self.read(&sample).await;
        self.report.hits_after_failures = hits as f64 / sample.len() as f64;
    }

    /// Reserves and leases, and never comes back.
    async fn leave_things_behind(&mut self) {
        for _ in 0..4 {
            let name = self.any_node();
            let connection = Connection {
                carrier: Some(Arc::new(self.nodes.network.side(self.clients.len()))),
                ..Connection::default()
            };
            let Ok(mut calls) = connection.calls(&address(&name)) else {
                continue;
            };
            let number = self.random.random_range(0..usize::MAX);
            let item = reserve_request::Item {
                key: key(number),
                bytes: 64,
                ..Default::default()
            };
            let reserve = ReserveRequest {
                items: vec![item],
                deadline_ms: 0,
            };
            let look = LookupRequest {
                keys: self.sample().into_iter().take(8).map(key).collect(),
                lease_ms: u64::MAX,
                all_keys: true,
            };
            tokio::spawn(async move {
                // What is refused leaves nothing behind.
                let _ = calls.reserve(reserve).await;
                let _ = calls.lookup(look).await;
            });
        }
    }

    /// Restarts nodes one after another: with a drain, then without.
    async fn restart(&mut self) {
        for drains in [Drains::Yes, Drains::No] {
            // What of before is away for other reasons counts for nothing, and
            // objects are with their owners again.
            let present = self.read_present().await;
            let names = self.nodes.names();
            let first = self.random.random_range(0..names.len());
            let names = names
                .into_iter()
                .cycle()
                .skip(first)
                .take(self.plan.restarts);
            let names: Vec<_> = names.collect();
            let route = Route::new(self.nodes.registry.members());
            let is_theirs = |number: &usize| {
                let owner = &route.owners(&key(*number), 1)[0].name;
                names.contains(owner)
            };
            let wanted: Vec<_> = present.into_iter().filter(is_theirs).collect();
            let mut newcomers = (0, 0);
            for (place, name) in names.iter().enumerate() {
                self.nodes.stop(name, self.clients.len(), drains).await;
                sleep(Duration::from_millis(300)).await;
                self.nodes.start(name);
                sleep(Duration::from_millis(700)).await;
                // Clients go on, and bring back what moved.
                let is_its = |number: &&usize| route.owners(&key(**number), 1)[0].name == *name;
                let its: Vec<_> = wanted.iter().filter(is_its).copied().collect();
                // One that has seen nothing of this has its turn first, at every other node.
                if place % 2 == 0 && matches!(drains, Drains::Yes) {
                    let newcomer = client(&self.nodes, self.clients.len() + 1);
                    sleep(SETTLED).await;
                    newcomers.0 += self.read_by(&[newcomer], &its).await.len();
                    newcomers.1 += its.len();
                }
                self.read(&its).await;
            }
            sleep(SETTLED).await;
            let kept = self.read(&wanted).await as f64 / wanted.len().max(1) as f64;
            match drains {
                Drains::Yes => {
                    self.report.kept_with_drain = kept;
                    let (found, wanted) = newcomers;
                    self.report.kept_for_newcomers = found as f64 / wanted.max(1) as f64;
                }
                Drains::No => self.report.kept_without_drain = kept,
            }
        }
    }

    async fn end(mut self) -> SceneReport {
        sleep(ALL_ENDED).await;
        self.nodes.check_leaks();
        self.report.calls = self.nodes.network.calls();
        self.report.digest = self.nodes.network.digest();
        self.report.time = passed_in_scene().unwrap_or_default();
        self.report.broken = self.nodes.oracle.take_all();
        self.report
    }

    fn start_another(&mut self) {
        self.nodes.start(&name(self.started));
        self.started += 1;
    }

    fn any_node(&mut self) -> String {
        let names = self.nodes.names();
        names[self.random.random_range(0..names.len())].clone()
    }

    /// Returns some of the objects of the beginning.
    fn sample(&mut self) -> Vec<usize> {
        let sample = 0..self.plan.sample.min(self.stored.len());
        let any = sample.map(|_| self.stored[self.random.random_range(0..self.stored.len())]);
        any.collect()
    }

    /// Returns those of a sample that are there.
    async fn read_present(&mut self) -> Vec<usize> {
        let mut sample = self.sample();
        sample.sort_unstable();
        sample.dedup();
        self.read_all(&sample).await
    }

    /// Puts new objects by all clients, so many with one call; returns those that
    /// were acknowledged.
    async fn put(&mut self, count: usize, batch: usize) -> Vec<usize> {
        let numbers: Vec<_> = (self.objects..self.objects + count).collect();
        self.objects += count;
        let shares = numbers.chunks(count.div_ceil(self.clients.len()).max(1));
        let puts = shares.zip(&self.clients).map(async |(share, client)| {
            let mut stored = Vec::new();
            for batch in share.chunks(batch) {
                let objects = batch.iter().map(|&number| (key(number), contents(number)));
                let results = client.put_many(objects.collect()).await;
                let done = batch
                    .iter()
                    .zip(results)
                    .filter(|(_, result)| result.is_ok());
                stored.extend(done.map(|(&number, _)| number));
            }
            stored
        });
        join_all(puts).await.concat()
    }

    /// Reads objects by all clients; returns how many were found.
    async fn read(&self, numbers: &[usize]) -> usize {
        self.read_all(numbers).await.len()
    }

    /// Reads objects by all clients; returns those that were found, with the
    /// bytes that they should have.
    async fn read_all(&self, numbers: &[usize]) -> Vec<usize> {
        self.read_by(&self.clients, numbers).await
    }

    async fn read_by(&self, clients: &[Client], numbers: &[usize]) -> Vec<usize> {
        let shares = numbers.chunks(numbers.len().div_ceil(clients.len()).max(1));
        let reads = shares.zip(clients).map(async |(share, client)| {
            let mut found = Vec::new();
            for batch in share.chunks(BATCH) {
                let mut rest = batch;
                while !rest.is_empty() {
                    let keys: Vec<_> = rest.iter().map(|&number| key(number)).collect();
                    let read = client.get_prefix(&keys).await.unwrap_or_default();
                    for (&number, bytes) in rest.iter().zip(&read) {
                        if *bytes != contents(number) {
                            let text = format!("object {number} was read as {bytes:?}");
                            self.nodes.oracle.broken(text);
                        }
                        found.push(number);
                    }
                    // What is behind one that is missing may be there.
                    rest = rest.get(read.len() + 1..).unwrap_or_default();
                }
            }
            found
        });
        join_all(reads).await.concat()
    }
}
