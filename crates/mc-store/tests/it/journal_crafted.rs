//! Journals that were made to be slow to read: they take time linear in their length.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::time::{Duration, Instant};

use crate::common::journal::{SEGMENT, commit, document, object, small_file, terms};
use mc_segment::SegmentId;
use mc_store::journal::{ObjectRecord, Record, SavedTerms, Writer, read};

/// Checks that four times as many bytes of a kind take about four times as long.
#[track_caller]
fn check_linear(bytes: impl Fn(usize) -> Vec<u8>) {
    let time = |len: usize| {
        let bytes = bytes(len);
        let times = (0..3).map(|_| {
            let start = Instant::now();
            drop(read(&bytes[..]).unwrap());
            start.elapsed()
        });
        times.min().unwrap()
    };
    // Long enough that cheap steps, too, take their time if there are as many as records, squared.
    let (short, long) = (time(1 << 20), time(1 << 22));
    assert!(short < Duration::from_secs(1), "{short:?} for 1 MiB");
    // Quadratic work would take sixteen times as long; what is below some hundredths of a second is noise.
    let most = 10 * short.max(Duration::from_millis(50));
    assert!(long < most, "{short:?} for 1 MiB and {long:?} for 4 MiB");
}

/// Checks a file of whole records.
#[track_caller]
fn check_records(write: impl Fn(u64, &mut Writer<Vec<u8>>)) {
    check_linear(|len| {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let document = document(SEGMENT, 1);
        let mounted = Record::Mounted {
            segment: SEGMENT,
            document: &document,
        };
        writer.write(&mounted).unwrap();
        for number in 0.. {
            if writer.bytes_written() >= len as u64 {
                break;
            }
            write(number, &mut writer);
        }
        writer.finish().unwrap()
    });
}

// The id of a file is in its first bytes, so that whoever has the file knows it.

#[test]
fn ids_without_frames() {
    let bytes = small_file().0;
    let id = bytes[..8].to_vec();
    check_linear(|len| [bytes.clone(), id.repeat(len / 8)].concat());
}

#[test]
fn headers_without_payloads() {
    let (bytes, starts) = small_file();
    let header = bytes[starts[2]..][..32].to_vec();
    check_linear(|len| [bytes.clone(), header.repeat(len / 32)].concat());
}

#[test]
fn bytes_among_zeros() {
    let bytes = small_file().0;
    check_linear(|len| {
        let rest = (0..len).map(|at| u8::from(at % 100 == 0));
        bytes.iter().copied().chain(rest).collect()
    });
}

#[test]
fn zeros_alone() {
    check_linear(|len| vec![0; len]);
}

#[test]
fn noise() {
    check_linear(|len| {
        let noise = (0..len as u64 / 8).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        noise.flat_map(u64::to_be_bytes).collect()
    });
}

#[test]
fn a_segment_that_is_unmounted_again_and_again() {
    check_records(|number, writer| {
        let key = number.to_be_bytes();
        let record = match number % 2 {
            0 => commit(&key, number),
            _ => Record::Unmounted { segment: SEGMENT },
        };
        writer.write(&record).unwrap();
    });
}

#[test]
fn one_place_for_all_objects() {
    check_records(|number, writer| {
        let key = number.to_be_bytes();
        writer.write(&commit(&key, number % 90)).unwrap();
    });
}

#[test]
fn one_key_for_all_objects() {
    check_records(|number, writer| writer.write(&commit(b"key", number)).unwrap());
}

#[test]
fn many_segments() {
    check_records(|number, writer| {
        let segment = SegmentId(u128::from(number));
        let document = document(segment, number);
        let mounted = Record::Mounted {
            segment,
            document: &document,
        };
        writer.write(&mounted).unwrap();
    });
}

#[test]
fn terms_that_all_differ() {
    check_records(|number, writer| {
        let key = number.to_be_bytes();
        let terms = SavedTerms {
            align: number,
            ..terms()
        };
        let record = ObjectRecord {
            terms,
            ..object(&key, 100 * number)
        };
        writer.write(&Record::Committed(record)).unwrap();
    });
}
