//! Layouts: which objects, of which sizes, a block of tokens is stored as.
//!
//! The tokens of a block are cut into units, the last of which may be partial, and each unit is stored
//! as one object or as several that are only of use together. An object takes the bytes of its tokens:
//! the last object of a prompt is smaller than the others. Under `hybrid` a unit is nine groups of
//! layers of a model that mixes full and linear attention; the latter keep a state after each block.

use super::{Trace, TraceRequest};

/// Tokens of a page, where blocks are stored in pages.
pub const PAGE_TOKENS: u64 = 64;

/// Bytes of a page of keys and values and of the page of its sparse-attention index, in the published
/// paired workload.
const DSA_PAGE_BYTES: [u64; 2] = [3_274_752, 658_432];

/// Bytes of one token in a group of layers with full attention of the hybrid model: 4 layers · 2
/// key-value heads · 256 values · (key and value) · 2 bytes.
const HYBRID_TOKEN_BYTES: u64 = 4 * 2 * 256 * 2 * 2;

/// Bytes of the state that a group of its layers with linear attention has after a block, however many
/// tokens that has: 6 layers · (32 heads · 128 · 128 values and 8192 channels · 3 inputs of a
/// convolution) · 2 bytes.
const HYBRID_STATE_BYTES: u64 = 6 * (32 * 128 * 128 + 8_192 * 3) * 2;

/// Groups of each kind: 12 layers of 48 have full attention.
const HYBRID_GROUPS: [usize; 2] = [3, 6];

/// A language model by what its cache takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Name on the command line.
    pub name: &'static str,
    /// Bytes of the keys and values of one token, in all layers.
    pub token_bytes: u64,
}

/// The models that can be named.
pub const MODELS: &[Model] = &[
    // 61 layers · (512 + 64) latent values · 2 bytes.
    Model {
        name: "deepseek-v3",
        token_bytes: 61 * 576 * 2,
    },
    // Layers · key-value heads · 128 values · (key and value) · 2 bytes.
    Model {
        name: "llama-3-8b",
        token_bytes: 32 * 8 * 128 * 2 * 2,
    },
    Model {
        name: "llama-3-70b",
        token_bytes: 80 * 8 * 128 * 2 * 2,
    },
    Model {
        name: "qwen-2.5-7b",
        token_bytes: 28 * 4 * 128 * 2 * 2,
    },
];

/// How requests become objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name in every output.
    pub name: &'static str,
    /// Tokens of a unit; at most those of a block.
    unit_tokens: u64,
    models: Vec<Groups>,
}

/// What a model takes in each object of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Groups {
    /// For each token.
    token_bytes: Vec<u64>,
    /// Once for the unit; nothing for those behind the end.
    unit_bytes: Vec<u64>,
}

/// Names of the layouts, in the order of the output.
pub const LAYOUTS: &[&str] = &["dsa-pair", "blocks", "pages", "mixed", "hybrid"];

/// The tokens of a unit and the objects that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Its tokens.
    pub tokens: u64,
    key: ObjectKey,
    /// Bytes per token of each of its objects.
    token_bytes: &'a [u64],
    /// Bytes that come to those, for the first of its objects.
    unit_bytes: &'a [u64],
}

/// Name of an object in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Id of the block.
    pub block: u64,
    /// Position of the unit in its block.
    pub unit: u8,
    /// Position of the model in the layout.
    pub model: u8,
    /// Position of the object in the unit.
    pub part: u8,
}

impl ObjectKey {
    /// Returns the key as bytes; different keys give different bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 11] {
        let mut bytes = [0; 11];
        bytes[..8].copy_from_slice(&self.block.to_le_bytes());
        bytes[8..].copy_from_slice(&[self.unit, self.model, self.part]);
        bytes
    }
}

impl Layout {
    /// Returns the layout of a name; `token_bytes` is what one token of the one model takes, in layouts
    /// that let it be chosen.
    #[must_use]
    pub fn named(name: &str, token_bytes: u64) -> Option<Self> {
        let name = LAYOUTS.iter().copied().find(|known| *known == name)?;
        let (unit_tokens, models) = match name {
            "dsa-pair" => {
                let parts = DSA_PAGE_BYTES.map(|bytes| bytes / PAGE_TOKENS);
                (PAGE_TOKENS, vec![Groups::by_token(&parts)])
            }
            "pages" => (PAGE_TOKENS, vec![Groups::by_token(&[token_bytes])]),
            "mixed" => {
                let models = [MODELS[0].token_bytes, token_bytes];
                let models = models.map(|bytes| Groups::by_token(&[bytes]));
                (u64::MAX, models.to_vec())
            }
            "hybrid" => (u64::MAX, vec![Groups::hybrid()]),
            _ => (u64::MAX, vec![Groups::by_token(&[token_bytes])]),
        };
        Some(Self {
            name,
            unit_tokens,
            models,
        })
    }

    /// Returns whether the bytes of a token can be chosen.
    #[must_use]
    pub fn is_sized(name: &str) -> bool {
        !["dsa-pair", "hybrid"].contains(&name)
    }

    /// Returns the units of a request of a trace, the first tokens first.
    ///
    /// Where there are several models, a request asks the one that its second block selects, which
    /// tells conversations apart. A single object is a unit of one token that has the bytes of its
    /// line.
    pub fn units<'a>(
        &'a self,
        trace: &'a Trace,
        request: &'a TraceRequest,
    ) -> impl Iterator<Item = Unit<'a>> {
        let model = self.model_of(request);
        let groups = &self.models[model];
        let (token_bytes, unit_bytes) = match &request.object_bytes {
            Some(bytes) => (std::slice::from_ref(bytes), &[][..]),
            None => (&groups.token_bytes[..], &groups.unit_bytes[..]),
        };
        let unit_tokens = self.unit_tokens.min(trace.block_tokens);
        let blocks = request.blocks.iter().enumerate();
        blocks.flat_map(move |(position, &block)| {
            let tokens = trace.block_tokens(request, position);
            (0..tokens.div_ceil(unit_tokens)).map(move |unit| Unit {
                tokens: (tokens - unit * unit_tokens).min(unit_tokens),
                key: ObjectKey {
                    block,
                    unit: small(unit),
                    model: small(model as u64),
                    part: 0,
                },
                token_bytes,
                unit_bytes,
            })
        })
    }

    fn model_of(&self, request: &TraceRequest) -> usize {
        let Some(&block) = request.blocks.get(1).or(request.blocks.first()) else {
            return 0;
        };
        // Fibonacci hashing: neighboring ids are not neighbors in the upper half.
        let spread = block.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(spread).map_or(0, |spread| spread % self.models.len())
    }
}

impl Groups {
    fn by_token(token_bytes: &[u64]) -> Self {
        Self {
            token_bytes: token_bytes.to_vec(),
            unit_bytes: Vec::new(),
        }
    }

    /// Returns nine groups of layers, those with full attention first.
    fn hybrid() -> Self {
        let [full, linear] = HYBRID_GROUPS;
        let both = |first: u64, then: u64| [vec![first; full], vec![then; linear]].concat();
        Self {
            token_bytes: both(HYBRID_TOKEN_BYTES, 0),
            unit_bytes: both(0, HYBRID_STATE_BYTES),
        }
    }
}

impl Unit<'_> {
    /// Returns key and size of each object of the unit, where each is stored by itself.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectKey, u64)> + '_ {
        self.sizes().enumerate().map(|(part, size)| {
            let key = ObjectKey {
                part: small(part as u64),
                ..self.key
            };
            (key, size)
        })
    }

    /// Returns the key of the unit, where it is stored as one object of several parts.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        self.key
    }

    /// Returns the bytes of each of its parts.
    pub fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        let more = self.unit_bytes.iter().chain(std::iter::repeat(&0));
        let parts = self.token_bytes.iter().zip(more);
        parts.map(|(token_bytes, unit_bytes)| self.tokens * token_bytes + unit_bytes)
    }
}

/// Narrows a position: a block has at most 256 units, and layouts few models and parts.
fn small(position: u64) -> u8 {
    u8::try_from(position).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(input_tokens: u32, blocks: &[u64]) -> TraceRequest {
        TraceRequest {
            arrival_ms: 0,
            input_tokens,
            output_tokens: 0,
            blocks: blocks.to_vec(),
            object_bytes: None,
        }
    }

    fn trace() -> Trace {
        Trace {
            block_tokens: 512,
            ..Trace::default()
        }
    }

    #[track_caller]
    fn check(layout: &str, expected: &[u64]) {
        let layout = Layout::named(layout, 10).unwrap();
        let request = request(512 + 70, &[3, 4]);
        let trace = trace();
        let units: Vec<Unit<'_>> = layout.units(&trace, &request).collect();
        assert_eq!(units.iter().map(|unit| unit.tokens).sum::<u64>(), 582);
        let objects: Vec<(ObjectKey, u64)> = units.iter().flat_map(Unit::objects).collect();
        let mut sizes: Vec<u64> = objects.iter().map(|(_, size)| *size).collect();
        let mut keys: Vec<[u8; 11]> = objects.iter().map(|(key, _)| key.to_bytes()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), objects.len(), "keys are unique");
        sizes.dedup();
        assert_eq!(sizes, expected);
    }

    #[test]
    fn objects_have_the_bytes_of_their_tokens() {
        check("blocks", &[5120, 700]);
        check("pages", &[640, 60]);
        let mut pairs = [3_274_752, 658_432].repeat(9);
        pairs.extend([6 * 51_168, 6 * 10_288]);
        check("dsa-pair", &pairs);
        check("hybrid", &[512 << 13, 6_586_368, 70 << 13, 6_586_368]);
    }

    #[test]
    fn conversations_keep_their_model_and_both_are_asked() {
        let layout = Layout::named("mixed", 10).unwrap();
        let model = |blocks: &[u64]| layout.model_of(&request(2_000, blocks));
        let models: Vec<usize> = (0..100).map(|id| model(&[0, id, 7])).collect();
        let later: Vec<usize> = (0..100).map(|id| model(&[0, id, 8, 9])).collect();
        assert_eq!(later, models);
        let second = models.iter().sum::<usize>();
        assert!((30..70).contains(&second), "{second} of 100");
    }

    #[test]
    fn unknown_layouts_have_no_name() {
        assert_eq!(Layout::named("block", 1), None);
        assert!(LAYOUTS.iter().all(|name| Layout::named(name, 1).is_some()));
    }
}
