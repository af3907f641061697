//! Bytes as a program of records, read back and compared with a plain model; then as damage to the file,
//! after which nothing is read that was not written, and no two objects share a byte.

use std::{collections::BTreeMap, time::Duration};

use mc_segment::{Extent, SegmentId, SegmentInfo, SegmentState};
use mc_store::journal::{
    ObjectRecord, Place, Places, Record, Recovered, Reservation, SavedHints, SavedTerms, Spot,
    Writer, encode_segment, read,
};

const BASE: u64 = 1_000;
const SIZE: u64 = 100;

/// Runs a program, and panics if something is wrong.
pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let damages = usize::from(input.next() % 4);
    let damages: Vec<[u8; 4]> = (0..damages)
        .map(|_| [(); 4].map(|()| input.next()))
        .collect();
    let mut model = Model::default();
    let mut writer = Writer::new(Vec::new()).expect("memory can be written");
    while !input.0.is_empty() {
        step(&mut input, |record| {
            writer.write(record).expect("memory can be written");
            model.apply(record);
        });
    }
    let mut file = writer.finish().expect("memory can be written");
    let recovered = read(&file[..]).expect("memory can be read");
    model.check(&recovered);
    check_places(&recovered);
    for damage in damages {
        apply_damage(&mut file, damage);
    }
    let recovered = read(&file[..]).expect("memory can be read");
    model.check_known(&recovered);
    check_places(&recovered);
    // What is no journal at all is read, too.
    read(bytes).expect("memory can be read");
}

/// The bytes of a program that are left; zeros when there are none.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.next() % bound
    }
}

/// Makes the next record.
fn step(input: &mut Input<'_>, write: impl FnOnce(&Record<'_>)) {
    let kind = input.below(12);
    let key = vec![input.below(6); usize::from(input.below(3))];
    let put = u64::from(input.below(4));
    match kind {
        0 | 1 => {
            let segment = SegmentId(u128::from(input.below(3)));
            let info = SegmentInfo {
                epoch: u64::from(input.below(3)),
                ..SegmentInfo::new(segment, "segment", BASE, SIZE)
            };
            let document = encode_segment(&info, SegmentState::Ok);
            let document = &document;
            write(&Record::Mounted { segment, document });
        }
        2 => {
            let segment = SegmentId(u128::from(input.below(3)));
            write(&Record::Unmounted { segment });
        }
        3..=6 => write(&Record::Committed(ObjectRecord {
            put,
            key: &key,
            parts: [u64::from(input.next())].into_iter().collect(),
            terms: SavedTerms {
                align: 1 << input.below(3),
                max_extents: 1,
                replicas: 1,
                replicas_least: 1,
                host: "host",
                excluded: vec![SegmentId(u128::from(put))],
            },
            places: places(input),
            checksum: None,
            is_pinned: false,
            leased_until: Duration::ZERO,
            hints: SavedHints::default(),
        })),
        7 => write(&Record::Reserved(Reservation {
            put: put + 1,
            key: &key,
            deadline: Duration::from_secs(1),
            places: places(input),
        })),
        8 => write(&Record::Aborted { put }),
        9 => write(&Record::Removed {
            key: &key,
            cause: 0,
        }),
        10 => {
            let place = place(input);
            let segment = SegmentId(u128::from(input.below(4)));
            let address = BASE + u64::from(input.below(110));
            let from = (put > 0).then_some(Spot { segment, address });
            let key = &key;
            write(&Record::Moved { key, from, place });
        }
        _ => {
            let is_pinned = put % 2 == 0;
            let key = &key;
            write(&Record::Pinned { key, is_pinned });
        }
    }
}

fn places(input: &mut Input<'_>) -> Places {
    let count = 1 + input.below(2);
    (0..count).map(|_| place(input)).collect()
}

fn place(input: &mut Input<'_>) -> Place {
    let pieces = 1 + input.below(2);
    Place {
        segment: SegmentId(u128::from(input.below(4))),
        epoch: u64::from(input.below(3)),
        extents: (0..pieces)
            .map(|_| Extent {
                address: BASE + u64::from(input.below(110)),
                size: u64::from(input.below(20)),
            })
            .collect(),
    }
}

fn apply_damage(file: &mut Vec<u8>, [kind, high, low, value]: [u8; 4]) {
    if file.is_empty() {
        return;
    }
    let at = usize::from(high) << 8 | usize::from(low);
    let at = at % file.len();
    let end = (at + usize::from(value)).min(file.len());
    match kind % 5 {
        0 => file[at] ^= value | 1,
        1 => file.truncate(at),
        2 => file[at..end].fill(0),
        3 => drop(file.drain(at..end)),
        _ => {
            let copied = file[at..end].to_vec();
            file.extend(copied);
        }
    }
}

/// A replica, and the number of the record that placed it.
type Placed = (Place, u64);

/// What the records add up to, in the plainest way.
#[derive(Default)]
struct Model {
    now: u64,
    /// Epoch, if it is mounted, and when it was unmounted last.
    segments: BTreeMap<SegmentId, (Option<u64>, u64)>,
    /// Replicas by key, and when the object was stored.
    objects: BTreeMap<Vec<u8>, (Vec<Placed>, u64)>,
    puts: BTreeMap<u64, (Vec<Placed>, u64)>,
    pinned: BTreeMap<Vec<u8>, bool>,
    /// All places that a key ever had.
    ever: Vec<(Vec<u8>, Place)>,
}

impl Model {
    fn apply(&mut self, record: &Record<'_>) {
        self.now += 1;
        let now = self.now;
        let placed = |places: &Places| places.iter().map(|place| (place.clone(), now)).collect();
        match record {
            Record::Mounted { segment, document } => {
                let document = String::from_utf8_lossy(document);
                let epoch = (0..3).find(|epoch| document.contains(&format!("\"epoch\":{epoch}")));
                self.segments.entry(*segment).or_default().0 = Some(epoch.unwrap_or(0));
            }
            Record::Unmounted { segment } => drop(self.segments.insert(*segment, (None, now))),
            Record::Committed(object) => {
                self.puts.remove(&object.put);
                let key = object.key.to_vec();
                self.know(&key, &object.places);
                self.pinned.remove(&key);
                self.objects.insert(key, (placed(&object.places), now));
            }
            Record::Reserved(put) => {
                self.know(put.key, &put.places);
                self.puts.insert(put.put, (placed(&put.places), now));
            }
            Record::Aborted { put } => drop(self.puts.remove(put)),
            Record::Removed { key, .. } => {
                self.objects.remove(*key);
                self.pinned.remove(*key);
            }
            Record::Moved { key, from, place } => {
                if let Some((replicas, _)) = self.objects.get_mut(*key) {
                    let new = (place.clone(), now);
                    let is_old = |(old, _): &Placed| from.is_some() && old.spot() == *from;
                    let old = replicas.iter().position(is_old);
                    if let Some(there) = replicas.iter().position(|(there, _)| there == place) {
                        replicas[there] = new;
                        old.filter(|&old| old != there)
                            .map(|old| replicas.remove(old));
                    } else if let Some(old) = old {
                        replicas[old] = new;
                    } else {
                        replicas.push(new);
                    }
                }
                self.know(key, std::slice::from_ref(place));
            }
            Record::Pinned { key, is_pinned } => {
                if self.objects.contains_key(*key) {
                    self.pinned.insert(key.to_vec(), *is_pinned);
                }
            }
            _ => unreachable!("no program has it"),
        }
    }

    fn know(&mut self, key: &[u8], places: &[Place]) {
        let known = places.iter().map(|place| (key.to_vec(), place.clone()));
        self.ever.extend(known);
    }

    /// Compares everything.
    fn check(&self, recovered: &Recovered) {
        let held = self.held();
        let mut objects: Vec<_> = self.objects.iter().collect();
        objects.sort_by_key(|(_, (_, stored))| *stored);
        let left = |replicas: &[Placed]| -> Vec<Place> {
            let mut left: Vec<Placed> = Vec::new();
            for placed in replicas {
                // Of two that are alike only the first one has the place.
                if held.contains(placed) && !left.contains(placed) {
                    left.push(placed.clone());
                }
            }
            left.into_iter().map(|(place, _)| place).collect()
        };
        let objects = objects
            .iter()
            .map(|(key, (replicas, _))| (&key[..], left(replicas)));
        let expected: Vec<_> = objects.filter(|(_, places)| !places.is_empty()).collect();
        let found = recovered.objects.iter();
        let found: Vec<_> = found
            .map(|object| (&*object.key, object.places.to_vec()))
            .collect();
        assert_eq!(found, expected, "objects in order, with their places");
        for object in &recovered.objects {
            let is_pinned = self.pinned.get(&*object.key).copied().unwrap_or(false);
            assert_eq!(object.is_pinned, is_pinned, "{:?}", object.key);
        }
        let puts = self
            .puts
            .iter()
            .map(|(put, (replicas, _))| (*put, left(replicas)));
        let expected: BTreeMap<_, _> = puts.filter(|(_, places)| !places.is_empty()).collect();
        let found = recovered.reservations.iter();
        let found: BTreeMap<_, _> = found.map(|put| (put.put, put.places.to_vec())).collect();
        assert_eq!(found, expected, "puts in flight");
        let mounted = self.segments.values().filter(|(epoch, _)| epoch.is_some());
        assert_eq!(recovered.segments.len(), mounted.count());
    }

    /// Returns the replicas that have their places in the end.
    fn held(&self) -> Vec<Placed> {
        let objects = self.objects.values();
        let mut objects: Vec<_> = objects.collect();
        objects.sort_by_key(|(_, stored)| *stored);
        let all = objects.into_iter().chain(self.puts.values());
        let mut all: Vec<_> = all.flat_map(|(replicas, _)| replicas.clone()).collect();
        all.retain(|placed| self.is_possible(placed));
        // Stable, so that of two replicas of one record the first comes first.
        all.sort_by_key(|(_, since)| std::cmp::Reverse(*since));
        let mut held: Vec<Placed> = Vec::new();
        for placed in all {
            let is_free = held.iter().all(|(other, _)| !shares(&placed.0, other));
            if is_free && !shares_itself(&placed.0) {
                held.push(placed);
            }
        }
        held
    }

    fn is_possible(&self, (place, since): &Placed) -> bool {
        let Some((Some(epoch), void_before)) = self.segments.get(&place.segment) else {
            return false;
        };
        let is_inside = |extent: &Extent| {
            extent.size > 0 && BASE <= extent.address && extent.address + extent.size <= BASE + SIZE
        };
        place.epoch == *epoch && since > void_before && place.extents.iter().all(is_inside)
    }

    /// Checks that every key has only places that it once had.
    fn check_known(&self, recovered: &Recovered) {
        let of_objects = recovered
            .objects
            .iter()
            .map(|object| (&object.key, &object.places));
        let of_puts = recovered
            .reservations
            .iter()
            .map(|put| (&put.key, &put.places));
        for (key, places) in of_objects.chain(of_puts) {
            for place in places {
                let mut ever = self.ever.iter();
                let is_known = ever.any(|(other, was)| **other == **key && was == place);
                assert!(is_known, "{key:?} never was at {place:?}");
            }
        }
    }
}

/// Checks that no byte belongs to two places.
fn check_places(recovered: &Recovered) {
    let of_objects = recovered.objects.iter().flat_map(|object| &object.places);
    let of_puts = recovered.reservations.iter().flat_map(|put| &put.places);
    let places: Vec<_> = of_objects.chain(of_puts).collect();
    for (index, place) in places.iter().enumerate() {
        assert!(!shares_itself(place), "{place:?}");
        let other = places[..index].iter().find(|other| shares(place, other));
        assert_eq!(other, None, "{place:?}");
    }
}

fn shares(one: &Place, other: &Place) -> bool {
    one.segment == other.segment
        && one
            .extents
            .iter()
            .any(|extent| other.extents.iter().any(|other| touches(extent, other)))
}

fn shares_itself(place: &Place) -> bool {
    let extents = place.extents.iter().enumerate();
    let mut pairs = extents.flat_map(|(index, extent)| {
        place.extents[..index]
            .iter()
            .map(move |before| (extent, before))
    });
    pairs.any(|(one, other)| touches(one, other))
}

fn touches(one: &Extent, other: &Extent) -> bool {
    one.address < other.address + other.size && other.address < one.address + one.size
}
