//! Reading a trace in any of the forms that they are published in.
//!
//! The form is found out from the first line that is not blank: an object begins JSON lines, a bracket
//! a JSON array (of requests, or on each line the fields of one), a line with `hash_ids` the header of
//! comma-separated values, and a word and a number a list of objects with their sizes. Ids may be
//! numbers or texts; a text is given a number when it is seen first.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use serde_json::{Number, Value};

use super::{BadLines, LineError, Trace, TraceError, TraceRequest};

/// What some editors begin a file of UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Name of the one field that a header has to have.
const IDS: &str = "hash_ids";

/// Fields of a request that is written as a list.
const FIELDS: [&str; 4] = ["timestamp", "input_length", "output_length", IDS];

/// How the lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    JsonLines,
    /// One array over all lines.
    JsonArray,
    /// The names of the columns.
    Columns(Vec<String>),
    Objects,
}

/// A reader of one trace.
struct Reader {
    block_tokens: u64,
    ids: Ids,
    /// Requests with their arrival as it is written, in milliseconds.
    requests: Vec<(f64, TraceRequest)>,
}

/// An id as it is written.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Id {
    Whole(u64),
    /// Below zero; as good as others.
    Negative(i64),
    Text(String),
}

/// Numbers of ids, different ones for different ids: a whole number is its own unless another id has it, a
/// text gets the next that is free.
#[derive(Debug, Default)]
struct Ids {
    numbers: HashMap<Id, u64>,
    taken: HashSet<u64>,
    /// No number below is free.
    next: u64,
}

/// Reads all lines of a trace.
pub(super) fn read(
    mut text: impl BufRead,
    bad_lines: BadLines,
    block_tokens: u64,
) -> Result<Trace, TraceError> {
    let mut reader = Reader {
        block_tokens,
        ids: Ids::default(),
        requests: Vec::new(),
    };
    let mut skipped_lines = 0;
    let mut form = None;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let unreadable = |source| TraceError::Unreadable { line, source };
        if text.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        if line == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let parsed = match std::str::from_utf8(&bytes) {
            Err(error) => Err(error.into()),
            Ok(words) => match &form {
                Some(form) => reader.line(words.trim(), form),
                None => {
                    let found = Form::of(words.trim());
                    if found == Form::JsonArray {
                        // Blank lines before it count.
                        bytes.splice(..0, (1..line).map(|_| b'\n'));
                        text.read_to_end(&mut bytes).map_err(unreadable)?;
                        skipped_lines += reader.array(&bytes, bad_lines)?;
                        break;
                    }
                    let is_header = matches!(found, Form::Columns(_));
                    let found = form.insert(found);
                    if is_header {
                        continue;
                    }
                    reader.line(words.trim(), found)
                }
            },
        };
        match parsed {
            Ok(()) => {}
            Err(_) if bad_lines == BadLines::Skip => skipped_lines += 1,
            Err(source) => return Err(TraceError::Malformed { line, source }),
        }
    }
    reader.finish(skipped_lines)
}

impl Form {
    fn of(first: &str) -> Self {
        let words: Vec<&str> = first.split_whitespace().collect();
        match words.as_slice() {
            [word, ..] if word.starts_with('{') => Self::JsonLines,
            // A line that is complete is one request as a list of fields.
            _ if first.starts_with('[') => match serde_json::from_str::<Vec<Value>>(first) {
                Ok(fields) if fields.first().is_some_and(|field| !field.is_object()) => {
                    Self::JsonLines
                }
                _ => Self::JsonArray,
            },
            [_, size] if size.parse::<u64>().is_ok() => Self::Objects,
            _ if cells(first).iter().any(|name| name == IDS) => Self::Columns(cells(first)),
            _ => Self::JsonLines,
        }
    }
}

impl Reader {
    fn line(&mut self, line: &str, form: &Form) -> Result<(), LineError> {
        match form {
            Form::Objects => self.object(line),
            Form::Columns(names) => {
                let cells = cells(line);
                if cells.iter().skip(names.len()).any(|cell| !cell.is_empty()) {
                    let (cells, columns) = (cells.len(), names.len());
                    return Err(LineError::CellCount { cells, columns });
                }
                let fields = names.iter().zip(&cells).map(|(name, cell)| {
                    let value = if name == IDS { list } else { number };
                    (name.as_str(), value(cell))
                });
                self.request(fields.collect())
            }
            Form::JsonLines | Form::JsonArray => {
                let value = serde_json::from_str(line.trim_end_matches(','))?;
                self.value(value)
            }
        }
    }

    /// Reads one array of requests; returns how many of them are malformed.
    fn array(&mut self, bytes: &[u8], bad_lines: BadLines) -> Result<u64, TraceError> {
        let values: Vec<Value> = serde_json::from_slice(bytes).map_err(|error| {
            let line = error.line() as u64;
            let source = error.into();
            TraceError::Malformed { line, source }
        })?;
        let mut skipped = 0;
        for (entry, value) in (1..).zip(values) {
            match self.value(value) {
                Ok(()) => {}
                Err(_) if bad_lines == BadLines::Skip => skipped += 1,
                Err(source) => return Err(TraceError::MalformedEntry { entry, source }),
            }
        }
        Ok(skipped)
    }

    fn value(&mut self, value: Value) -> Result<(), LineError> {
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Array(fields) => {
                let names = FIELDS.iter().map(|name| (*name).to_owned());
                names.zip(fields).collect()
            }
            _ => return Err(LineError::Field { field: IDS }),
        };
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        self.request(fields.collect())
    }

    fn request(&mut self, fields: HashMap<&str, Value>) -> Result<(), LineError> {
        let before = self.requests.last().map_or(0.0, |(arrival, _)| *arrival);
        let arrival = match fields.get("timestamp") {
            None | Some(Value::Null) => before,
            Some(value) => value
                .as_f64()
                .ok_or(LineError::Field { field: "timestamp" })?,
        };
        let tokens = |field| {
            let tokens = fields.get(field).and_then(Value::as_f64);
            let is_count = |tokens: &f64| {
                tokens.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(tokens)
            };
            let tokens = tokens.filter(is_count);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a count in the range"
            )]
            let tokens = tokens.map(|tokens| tokens as u32);
            tokens.ok_or(LineError::Field { field })
        };
        let input_tokens = tokens("input_length")?;
        let output_tokens = match fields.get("output_length") {
            None | Some(Value::Null) => 0,
            Some(_) => tokens("output_length")?,
        };
        let ids = fields.get(IDS).and_then(Value::as_array);
        let ids = ids.ok_or(LineError::Field { field: IDS })?;
        let blocks = ids
            .iter()
            .map(|id| self.id(id))
            .collect::<Option<Vec<u64>>>();
        let blocks = blocks.ok_or(LineError::Field { field: IDS })?;
        self.check_blocks(input_tokens, blocks.len() as u64)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is out of range is clamped"
        )]
        let arrival_ms = arrival as u64;
        let request = TraceRequest {
            arrival_ms,
            input_tokens,
            output_tokens,
            blocks,
            object_bytes: None,
        };
        self.requests.push((arrival, request));
        Ok(())
    }

    /// A prompt has an id for each of its blocks, or for its full blocks only.
    fn check_blocks(&self, input_tokens: u32, hash_ids: u64) -> Result<(), LineError> {
        let block_tokens = self.block_tokens;
        let full = u64::from(input_tokens) / block_tokens;
        let blocks = u64::from(input_tokens).div_ceil(block_tokens);
        if hash_ids == full || hash_ids == blocks {
            return Ok(());
        }
        Err(LineError::BlockCount {
            input_tokens,
            block_tokens,
            blocks,
            hash_ids,
        })
    }

    fn id(&mut self, id: &Value) -> Option<u64> {
        let id = match id {
            Value::String(text) => Id::Text(text.clone()),
            Value::Number(id) => match id.as_u64() {
                Some(id) => Id::Whole(id),
                None => Id::Negative(id.as_i64()?),
            },
            _ => return None,
        };
        Some(self.ids.number(id))
    }

    fn object(&mut self, line: &str) -> Result<(), LineError> {
        let mut words = line.split_whitespace();
        let (Some(key), Some(bytes), None) = (words.next(), words.next(), words.next()) else {
            return Err(LineError::NotAnObject);
        };
        let bytes = bytes.parse().ok().filter(|bytes| *bytes > 0);
        let request = TraceRequest {
            arrival_ms: 0,
            input_tokens: 1,
            output_tokens: 0,
            blocks: vec![self.ids.number(Id::Text(key.to_owned()))],
            object_bytes: Some(bytes.ok_or(LineError::NotAnObject)?),
        };
        self.requests.push((0.0, request));
        Ok(())
    }

    fn finish(self, skipped_lines: u64) -> Result<Trace, TraceError> {
        let mut requests = self.requests;
        if requests.is_empty() {
            return Err(TraceError::Empty { skipped_lines });
        }
        requests.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(Trace {
            requests: requests.into_iter().map(|(_, request)| request).collect(),
            block_tokens: self.block_tokens,
            skipped_lines,
        })
    }
}

impl Ids {
    fn number(&mut self, id: Id) -> u64 {
        if let Some(&number) = self.numbers.get(&id) {
            return number;
        }
        let own = match id {
            Id::Whole(id) => Some(id),
            Id::Negative(id) => Some(id.cast_unsigned()),
            Id::Text(_) => None,
        };
        let own = own.filter(|number| !self.taken.contains(number));
        let number = own.unwrap_or_else(|| {
            while self.taken.contains(&self.next) {
                self.next += 1;
            }
            self.next
        });
        self.taken.insert(number);
        self.numbers.insert(id, number);
        number
    }
}

/// Returns the cells of a line of comma-separated values; quoted ones may have commas.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for character in line.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            other => cells
                .last_mut()
                .expect("there is always a cell")
                .push(other),
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Returns what a cell stands for: nothing, a number or a text.
fn number(cell: &str) -> Value {
    match cell {
        "" => Value::Null,
        _ => cell.parse().map_or_else(|_| cell.into(), Value::Number),
    }
}

/// Returns the ids of a cell, which may be in brackets. What is no whole number as JSON writes it, such as 12e4 or
/// 007, is a text.
fn list(cell: &str) -> Value {
    let within = cell.trim_start_matches('[').trim_end_matches(']');
    let words = within
        .split([' ', ',', ';', '|'])
        .map(|word| word.trim_matches(['\'', '"']));
    let id = |word: &str| match word.parse::<Number>() {
        Ok(number) if !number.is_f64() => Value::Number(number),
        _ => Value::from(word),
    };
    words.filter(|word| !word.is_empty()).map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn blocks(text: &str, block_tokens: u64) -> Vec<Vec<u64>> {
        let trace = read(text.as_bytes(), BadLines::Refuse, block_tokens).unwrap();
        trace
            .requests
            .into_iter()
            .map(|request| request.blocks)
            .collect()
    }

    #[test]
    fn forms_of_one_trace_are_read_alike() {
        let expected = [vec![7, 8], vec![7, 9]];
        let lines = r#"{"timestamp": 0.25, "input_length": 20, "hash_ids": [7, 8]}
            {"timestamp": 0.5, "input_length": 32, "output_length": 3, "hash_ids": [7, 9]}

            "#;
        assert_eq!(blocks(lines, 16), expected);
        let array = r#"[
            {"input_length": 20, "hash_ids": [7, 8]},
            {"input_length": 32, "hash_ids": [7, 9]}
        ]"#;
        assert_eq!(blocks(array, 16), expected);
        assert_eq!(
            blocks("[0, 20, 1, [7, 8]]\n[1.5, 32, 1, [7, 9]]\n", 16),
            expected
        );
        let columns =
            "timestamp,input_length,output_length,hash_ids\n0,20,,7 8\n3.5,32,1,\"[7, 9]\"\n";
        assert_eq!(blocks(columns, 16), expected);
    }

    #[test]
    fn ids_may_be_texts_and_for_full_blocks_only() {
        let line = r#"{"input_length": 70, "hash_ids": ["9f3a", "0c11", "9f3a", "aa"]}"#;
        assert_eq!(blocks(line, 16), [[0, 1, 0, 2]]);
        assert_eq!(
            blocks(r#"{"input_length": 70, "hash_ids": [1]}"#, 64),
            [[1]]
        );
        assert_eq!(
            blocks(r#"{"input_length": 70, "hash_ids": [1, -2]}"#, 64).len(),
            1
        );
    }

    #[test]
    fn objects_have_a_key_and_bytes() {
        let trace = read(&b"a 68\nb 7454\na 68\n\n"[..], BadLines::Refuse, 512).unwrap();
        let sizes: Vec<_> = trace
            .requests
            .iter()
            .map(|request| request.object_bytes)
            .collect();
        assert_eq!(sizes, [Some(68), Some(7_454), Some(68)]);
        assert_eq!(trace.requests[0].blocks, trace.requests[2].blocks);
        for bad in ["a 1\na x", "a 1\na", "a 1\na 1 1", "a 1\na 0"] {
            let error = read(bad.as_bytes(), BadLines::Refuse, 512).unwrap_err();
            assert!(
                matches!(error, TraceError::Malformed { line: 2, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn requests_are_in_the_order_of_fractions_too() {
        let line = |at: f64, id: u64| {
            format!("{{\"timestamp\": {at}, \"input_length\": 5, \"hash_ids\": [{id}]}}\n")
        };
        let text = [line(0.7, 1), line(0.2, 2), line(0.9, 3)].concat();
        assert_eq!(blocks(&text, 16), [[2], [1], [3]]);
    }

    #[test]
    fn malformed_entries_of_an_array_are_named() {
        let text = "[\n{\"input_length\": 5, \"hash_ids\": [1]},\n{\"input_length\": 5}\n]";
        let error = read(text.as_bytes(), BadLines::Refuse, 16).unwrap_err();
        assert!(
            matches!(error, TraceError::MalformedEntry { entry: 2, .. }),
            "{error}"
        );
        let trace = read(text.as_bytes(), BadLines::Skip, 16).unwrap();
        assert_eq!((trace.requests.len(), trace.skipped_lines), (1, 1));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_any_form() {
        let expected = [vec![7], vec![8]];
        for text in [
            "{\"timestamp\": 1, \"input_length\": 5, \"hash_ids\": [8]}\n{\"timestamp\": 0, \"input_length\": 5, \"hash_ids\": [7]}",
            "[{\"timestamp\": 1, \"input_length\": 5, \"hash_ids\": [8]}, {\"timestamp\": 0, \"input_length\": 5, \"hash_ids\": [7]}]",
            "timestamp,input_length,hash_ids\r\n1,5,8\r\n0,5,7\r\n",
        ] {
            assert_eq!(blocks(&format!("\u{feff}{text}"), 16), expected);
        }
        assert_eq!(blocks("\u{feff}a 5\na 5", 16), [[0], [0]]);
    }

    #[test]
    fn a_cell_of_ids_has_any_number_of_them_in_any_letters() {
        let rows = "input_length,hash_ids\n5,\n5,7\n20,12e4 7\n20,[12e4;007]\n";
        let expected = [vec![], vec![7], vec![0, 7], vec![0, 1]];
        assert_eq!(blocks(rows, 16), expected);
    }

    #[test]
    fn different_ids_are_different_blocks() {
        let line = r#"{"input_length": 160, "hash_ids": ["a", 0, 1, "b", -1, 18446744073709551615, "1", "0", "a", 0]}"#;
        let ids = blocks(line, 16).remove(0);
        let different: HashSet<u64> = ids[..8].iter().copied().collect();
        assert_eq!((different.len(), &ids[8..]), (8, &[ids[0], ids[1]][..]));
        // What is all numbers, or all texts, keeps its own.
        assert_eq!(
            blocks(r#"{"input_length": 30, "hash_ids": [9, 4]}"#, 16),
            [[9, 4]]
        );
    }

    #[test]
    fn lines_that_say_more_or_other_than_a_request_are_malformed() {
        for (text, part) in [
            (
                "timestamp,input_length,hash_ids\n0,20,[7,8]",
                "4 cells for 3 columns",
            ),
            (
                r#"{"input_length": 20.7, "hash_ids": [7, 8]}"#,
                "0 to 4294967295",
            ),
            (
                r#"{"input_length": 20, "hash_ids": [7, 8.5]}"#,
                "whole numbers and texts",
            ),
            (
                r#"{"input_length": 20, "timestamp": "noon", "hash_ids": [7, 8]}"#,
                "a number",
            ),
        ] {
            let error = read(text.as_bytes(), BadLines::Refuse, 16).unwrap_err();
            let TraceError::Malformed { source, .. } = error else {
                panic!("{error}");
            };
            assert!(source.to_string().contains(part), "{source}");
        }
    }

    #[test]
    fn blank_lines_before_an_array_count() {
        let text = "\n\n[\n{\"input_length\": 5, \"hash_ids\": [1]},\n{bad]";
        let error = read(text.as_bytes(), BadLines::Refuse, 16).unwrap_err();
        assert!(
            matches!(error, TraceError::Malformed { line: 5, .. }),
            "{error}"
        );
    }
}
