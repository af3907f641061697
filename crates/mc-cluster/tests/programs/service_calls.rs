//! Bytes as calls to a node: whatever protobuf they are, and those of clients that replay and reorder what was
//! said. Every answer is compared with a plain model of what clients were told before.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use mc_cluster::{
    simulation::{Answered, CallEnd, LoneNode},
    wire::{
        AbortRequest, AbortResponse, CommitRequest, CommitResponse, Extent, LookupRequest,
        LookupResponse, Outcome, ReadRequest, ReadResponse, ReleaseRequest, RemoveRequest,
        RemoveResponse, ReserveRequest, ReserveResponse, StatsRequest, StatsResponse, WriteRequest,
        WriteResponse, commit_request, remove_request::Mode, reserve_request,
    },
};
use prost::Message;

const METHODS: [&str; 10] = [
    "Reserve", "Write", "Commit", "Abort", "Lookup", "Read", "Release", "Remove", "Stats", "None",
];

/// Runs a program, and panics if something is wrong.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut world = World::new();
    while !input.0.is_empty() {
        step(&mut input, &mut world);
    }
    let broken = world.node.end();
    assert!(broken.is_empty(), "{broken:?}");
}

/// The bytes of a program that are left; zeros when there are none.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.next()) % from.len()]
    }

    fn bytes(&mut self) -> Bytes {
        let len = usize::from(self.next() % 64).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        Bytes::copy_from_slice(bytes)
    }

    fn many<T>(&mut self, most: u8, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.next() % (most + 1)).map(|_| one(self)).collect()
    }
}

/// A call that was made.
#[derive(Clone)]
struct Call {
    method: &'static str,
    messages: Vec<Bytes>,
    end: CallEnd,
}

struct World {
    node: LoneNode,
    history: Vec<Call>,
    model: Model,
}

/// Makes the next call, or lets time pass.
fn step(input: &mut Input<'_>, world: &mut World) {
    match input.next() % 12 {
        0 => {
            let end = input.pick(&[CallEnd::Said, CallEnd::Said, CallEnd::Silent]);
            let (method, messages) = (input.pick(&METHODS), input.many(3, Input::bytes));
            world.call(Call {
                method,
                messages,
                end,
            });
        }
        1 => world.say("Reserve", &reserve(input)),
        2 => world.write(input),
        3 => world.commit(input),
        4 => world.lookup(input),
        5 => world.read(input),
        6 => world.give_back(input),
        7 => world.remove(input),
        8 => world.say("Stats", &StatsRequest {}),
        9 => world.replay(input, |_, _| {}),
        10 => world.replay(input, |input, message| {
            let mut changed = message.to_vec();
            let place = usize::from(input.next());
            if let Some(byte) = changed.get_mut(place) {
                *byte ^= input.next();
            }
            *message = changed.into();
        }),
        _ => match input.next() % 8 {
            0 => world.node.cut_off(true),
            1 => world.node.cut_off(false),
            _ => world
                .node
                .wait(Duration::from_millis(input.pick(&[1, 900, 5000, 12_000]))),
        },
    }
}

fn key(input: &mut Input<'_>) -> Bytes {
    match input.next() % 8 {
        7 => vec![7; usize::from(input.next() % 24)].into(),
        letter => vec![letter].into(),
    }
}

fn reserve(input: &mut Input<'_>) -> ReserveRequest {
    let items = input.many(9, |input| reserve_request::Item {
        key: key(input),
        bytes: input.pick(&[
            1,
            64,
            100,
            300,
            1000,
            LoneNode::BYTES / 4,
            LoneNode::BYTES / 2,
            u64::MAX,
        ]),
        align: input.pick(&[0, 0, 1, 64, 3, 4096, u64::MAX]),
        extents_max: input.pick(&[0, 0, 1, 4, u32::MAX]),
        parent: input.pick(&[None, None, Some(())]).map(|()| key(input)),
    });
    ReserveRequest {
        items,
        deadline_ms: input.pick(&[0, 1, 3000, u64::MAX]),
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            node: LoneNode::start(),
            history: Vec::new(),
            model: Model::default(),
        };
        // What is said of it is needed for all others.
        world.say("Stats", &StatsRequest {});
        world
    }

    fn say(&mut self, method: &'static str, message: &impl Message) {
        self.call(Call {
            method,
            messages: vec![message.encode_to_vec().into()],
            end: CallEnd::Said,
        });
    }

    fn call(&mut self, call: Call) {
        let answered = self.node.call(call.method, call.messages.clone(), call.end);
        self.model.check(&call, &answered);
        self.history.push(call);
    }

    fn replay(&mut self, input: &mut Input<'_>, change: impl Fn(&mut Input<'_>, &mut Bytes)) {
        let mut call = self.history[usize::from(input.next()) % self.history.len()].clone();
        call.messages
            .iter_mut()
            .for_each(|message| change(input, message));
        self.call(call);
    }

    /// Returns the life of the node, mostly.
    fn life(&self, input: &mut Input<'_>) -> u64 {
        match input.next() {
            255 => 99,
            _ => self.model.life,
        }
    }

    /// Returns one of the last numbers of puts.
    fn put(&self, input: &mut Input<'_>) -> u64 {
        let last = self.model.puts.last_key_value();
        last.map_or(0, |(last, _)| *last)
            .saturating_sub(u64::from(input.next() % 8))
    }

    fn lease(&self, input: &mut Input<'_>) -> u64 {
        let last = self.model.leases.last_key_value();
        last.map_or(0, |(last, _)| *last)
            .saturating_sub(u64::from(input.next() % 4))
    }

    /// Writes all of a put in chunks, or pieces that are anywhere.
    fn write(&mut self, input: &mut Input<'_>) {
        let (life, put) = (self.life(input), self.put(input));
        let chunk = |offset: u64, len: usize| WriteRequest {
            life,
            put,
            offset,
            bytes: (0..len as u64)
                .map(|place| pattern(put, offset.wrapping_add(place)))
                .collect(),
        };
        let bytes = self.model.puts.get(&put).map_or(0, |put| put.bytes.len());
        let chunks: Vec<_> = match input.next() % 4 {
            0 => input.many(4, |input| {
                let offset = input.pick(&[0, 1, 63, 64, 100, 999, u64::MAX - 1]);
                chunk(offset, input.pick(&[0, 1, 36, 64, 100, 700]))
            }),
            _ => (0..bytes)
                .step_by(500)
                .map(|offset| chunk(offset as u64, (bytes - offset).min(500)))
                .collect(),
        };
        self.call(Call {
            method: "Write",
            messages: chunks
                .iter()
                .map(|chunk| chunk.encode_to_vec().into())
                .collect(),
            end: input.pick(&[CallEnd::Said, CallEnd::Said, CallEnd::Said, CallEnd::Silent]),
        });
    }

    fn commit(&mut self, input: &mut Input<'_>) {
        let items = input.many(9, |input| {
            let put = self.put(input);
            let written = self.model.puts.get(&put);
            let right = written.map_or(0, |put| put.checksum());
            commit_request::Item {
                put,
                checksum: input.pick(&[Some(right), Some(right), Some(7), None]),
                is_compared: input.pick(&[true, false]),
            }
        });
        let life = self.life(input);
        self.say("Commit", &CommitRequest { items, life });
    }

    fn lookup(&mut self, input: &mut Input<'_>) {
        let request = LookupRequest {
            keys: input.many(9, key),
            lease_ms: input.pick(&[0, 1, 2000, u64::MAX]),
            all_keys: input.pick(&[true, false]),
        };
        self.say("Lookup", &request);
    }

    fn read(&mut self, input: &mut Input<'_>) {
        let request = ReadRequest {
            life: self.life(input),
            lease: self.lease(input),
            objects: input.many(9, |input| input.pick(&[0, 1, 2, 5, u32::MAX])),
        };
        self.say("Read", &request);
    }

    fn give_back(&mut self, input: &mut Input<'_>) {
        let life = self.life(input);
        if input.pick(&[true, false]) {
            let leases = input.many(9, |input| self.lease(input));
            self.say("Release", &ReleaseRequest { leases, life });
        } else {
            let puts = input.many(9, |input| self.put(input));
            self.say("Abort", &AbortRequest { puts, life });
        }
    }

    fn remove(&mut self, input: &mut Input<'_>) {
        let request = RemoveRequest {
            keys: input.many(9, key),
            mode: input.next().into(),
        };
        self.say("Remove", &request);
    }
}

/// Returns the byte that is written to a place of a put.
fn pattern(put: u64, place: u64) -> u8 {
    (put.wrapping_mul(151) ^ place.wrapping_mul(29)).to_le_bytes()[0]
}

/// What clients were told, and what follows from it.
#[derive(Default)]
struct Model {
    life: u64,
    /// All that there ever were: their numbers are never used again.
    puts: BTreeMap<u64, Written>,
    /// By key, what was committed last; it may have been evicted.
    objects: HashMap<Bytes, Rc<Stored>>,
    leases: BTreeMap<u64, Vec<Option<Rc<Stored>>>>,
}

/// The space of a put, with the bytes that are known to be there.
#[derive(Clone)]
struct Written {
    key: Bytes,
    bytes: Vec<Option<u8>>,
    /// Whether it was committed or given up.
    is_over: bool,
}

struct Stored {
    bytes: Vec<Option<u8>>,
    checksum: Option<u32>,
}

/// Returns a message if it is one of its kind.
fn decoded<M: Message + Default>(messages: &[Bytes]) -> Option<M> {
    M::decode(messages.first()?.clone()).ok()
}

impl Model {
    fn check(&mut self, call: &Call, answered: &Answered) {
        let asked = &call.messages;
        let told = &answered.messages;
        if call.method == "Write" {
            return self.check_write(asked, answered);
        }
        if call.method == "Read" {
            if let Some(request) = decoded::<ReadRequest>(asked) {
                self.check_read(&request, answered);
            }
            return;
        }
        if answered.refusal.is_some() {
            return;
        }
        match call.method {
            "Reserve" => self.check_reserve(&known(asked), &known(told)),
            "Commit" => self.check_commit(&known(asked), &known(told)),
            "Abort" => self.check_abort(&known(asked), &known(told)),
            "Lookup" => self.check_lookup(known(asked), &known(told)),
            "Remove" => self.check_remove(known(asked), &known(told)),
            "Stats" => self.check_stats(&known(told)),
            "None" => panic!("there is no such method, and {told:?} was answered"),
            _ => {}
        }
    }

    fn check_reserve(&mut self, request: &ReserveRequest, answer: &ReserveResponse) {
        assert_eq!(answer.life, self.life);
        assert_eq!(answer.items.len(), request.items.len());
        for (item, given) in request.items.iter().zip(&answer.items) {
            assert_eq!(given.put != 0, given.outcome() == Outcome::Done);
            if given.put == 0 {
                continue;
            }
            check_extents(&given.extents, item.bytes);
            let written = Written {
                key: item.key.clone(),
                bytes: vec![None; usize::try_from(item.bytes).expect("less than the memory")],
                is_over: false,
            };
            let before = self.puts.insert(given.put, written);
            assert!(before.is_none(), "put {} was given out twice", given.put);
        }
    }

    fn check_write(&mut self, asked: &[Bytes], answered: &Answered) {
        let chunks = asked
            .iter()
            .map(|message| WriteRequest::decode(message.clone()));
        let chunks: Vec<_> = chunks.map_while(Result::ok).collect();
        let is_done = answered.refusal.is_none();
        if is_done {
            let written: WriteResponse = known(&answered.messages);
            let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
            assert_eq!(written.written_bytes, bytes as u64);
        }
        for chunk in chunks.iter().filter(|chunk| chunk.life == self.life) {
            let Some(put) = self.puts.get_mut(&chunk.put) else {
                assert!(
                    !is_done,
                    "put {} was written and never given out",
                    chunk.put
                );
                continue;
            };
            if put.is_over {
                assert!(!is_done, "put {} was written after its end", chunk.put);
                continue;
            }
            let offset = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
            let known = chunk.bytes.iter().map(|&byte| is_done.then_some(byte));
            let space = put.bytes.get_mut(offset..).unwrap_or_default();
            assert!(!is_done || chunk.bytes.len() <= space.len());
            space
                .iter_mut()
                .zip(known)
                .for_each(|(old, new)| *old = new);
        }
    }

    fn check_commit(&mut self, request: &CommitRequest, answer: &CommitResponse) {
        assert_eq!(answer.outcomes.len(), request.items.len());
        for (item, outcome) in request.items.iter().zip(answer.outcomes()) {
            if outcome != Outcome::Done {
                continue;
            }
            let put = self
                .puts
                .get_mut(&item.put)
                .expect("a put that was given out");
            assert!(!put.is_over, "put {} was committed after its end", item.put);
            put.is_over = true;
            let is_known = put.bytes.iter().all(Option::is_some);
            if let (Some(checksum), true, true) = (item.checksum, item.is_compared, is_known) {
                assert_eq!(checksum, put.checksum(), "it was to be compared");
            }
            let stored = Stored {
                bytes: put.bytes.clone(),
                checksum: item.checksum,
            };
            self.objects.insert(put.key.clone(), Rc::new(stored));
        }
    }

    fn check_abort(&mut self, request: &AbortRequest, answer: &AbortResponse) {
        assert_eq!(answer.outcomes.len(), request.puts.len());
        for (number, outcome) in request.puts.iter().zip(answer.outcomes()) {
            if outcome != Outcome::Done {
                continue;
            }
            let put = self.puts.get_mut(number);
            let put = put.expect("a put that was given out");
            assert!(!put.is_over, "put {number} was given up after its end");
            put.is_over = true;
        }
    }

    fn check_lookup(&mut self, request: LookupRequest, answer: &LookupResponse) {
        assert_eq!(answer.life, self.life);
        assert!(answer.objects.len() <= request.keys.len());
        let mut leased = Vec::new();
        for (key, object) in request.keys.iter().zip(&answer.objects) {
            assert!(!object.is_missing || request.all_keys);
            let stored = (!object.is_missing).then(|| &self.objects[key]);
            if let Some(stored) = stored {
                assert_eq!(object.bytes, stored.bytes.len() as u64);
                assert_eq!(object.checksum, stored.checksum);
                check_extents(&object.extents, object.bytes);
            }
            leased.push(stored.cloned());
        }
        if answer.lease != 0 {
            let before = self.leases.insert(answer.lease, leased);
            assert!(before.is_none(), "lease {} was given twice", answer.lease);
        }
    }

    /// Compares all bytes that came, however the call ended.
    fn check_read(&self, request: &ReadRequest, answered: &Answered) {
        let is_done = answered.refusal.is_none();
        let leased = self.leases.get(&request.lease);
        let Some(leased) = leased.filter(|_| request.life == self.life) else {
            assert!(!is_done && answered.messages.is_empty(), "{answered:?}");
            return;
        };
        let mut objects = request.objects.clone();
        if objects.is_empty() {
            let present = (0..).zip(leased).filter(|(_, object)| object.is_some());
            objects = present.map(|(place, _)| place).collect();
        }
        let mut left = objects.iter();
        let mut current: Option<(u32, &[Option<u8>])> = None;
        let mut offset = 0;
        for message in &answered.messages {
            let chunk = ReadResponse::decode(message.clone()).expect("a message of the node");
            let (object, rest) = current.take().unwrap_or_else(|| {
                offset = 0;
                let object = *left.next().expect("no more than was asked for");
                let stored = leased[object as usize].as_ref().expect("what is leased");
                (object, &stored.bytes)
            });
            assert_eq!((chunk.object, chunk.offset), (object, offset));
            offset += chunk.bytes.len() as u64;
            let (now, rest) = rest.split_at(chunk.bytes.len());
            for (&byte, &known) in chunk.bytes.iter().zip(now) {
                assert_eq!(byte, known.unwrap_or(byte), "object {object}");
            }
            current = Some((object, rest)).filter(|(_, rest)| !rest.is_empty());
        }
        assert!(!is_done || (current.is_none() && left.next().is_none()));
    }

    fn check_remove(&mut self, request: RemoveRequest, answer: &RemoveResponse) {
        assert_eq!(answer.outcomes.len(), request.keys.len());
        for (key, outcome) in request.keys.iter().zip(answer.outcomes()) {
            if outcome == Outcome::Done {
                let stored = self.objects.remove(key).expect("what was committed");
                let is_whole = stored.is_whole();
                let is_damaged = request.mode() != Mode::IfDamaged || is_whole != Some(true);
                assert!(is_damaged, "an object that is whole was removed as damaged");
            }
        }
    }

    fn check_stats(&mut self, answer: &StatsResponse) {
        self.life = answer.life;
        let limits = LoneNode::limits();
        assert!(answer.live_bytes <= answer.capacity_bytes);
        assert!(
            answer.puts_in_flight <= limits.puts_max as u64,
            "{answer:?}"
        );
        assert!(answer.leases <= limits.leased_max as u64, "{answer:?}");
    }
}

impl Written {
    /// Returns the checksum of the bytes, where 0 stands for what is not known.
    fn checksum(&self) -> u32 {
        let bytes = self.bytes.iter().map(|byte| byte.unwrap_or(0));
        crc32fast::hash(&bytes.collect::<Vec<u8>>())
    }
}

impl Stored {
    /// Says whether the bytes have their checksum, if that is known.
    fn is_whole(&self) -> Option<bool> {
        let bytes: Option<Vec<u8>> = self.bytes.iter().copied().collect();
        let found = crc32fast::hash(&bytes?);
        Some(self.checksum.is_none_or(|checksum| checksum == found))
    }
}

/// Returns the one message of a call that was served.
fn known<M: Message + Default>(messages: &[Bytes]) -> M {
    decoded(messages).expect("a message that was understood")
}

/// Checks that a place is within the memory, and has so many bytes.
fn check_extents(extents: &[Extent], bytes: u64) {
    assert_eq!(
        extents.iter().map(|extent| extent.bytes).sum::<u64>(),
        bytes
    );
    for extent in extents {
        let end = extent.address.checked_add(extent.bytes);
        assert!(end.is_some_and(|end| end <= LoneNode::BYTES), "{extent:?}");
    }
}
