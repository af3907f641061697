//! A trace of conversations, made from a seed.
//!
//! Every conversation begins with one of a few system prompts, the first of which are far more
//! popular than the last, and grows by a question and the answer to the previous one with every
//! turn. Who asks next is drawn from the conversations of late, the latest most often; some requests
//! are repeated as they are. A full block keeps its id for the rest of the conversation; a partial one
//! has an id of its own, because more tokens make it another block.
//!
//! It does not model hours of the day, users who come back after days, or documents that several
//! conversations quote. All draws are of integers, so that a seed gives the same text everywhere.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{BLOCK_TOKENS, Trace, TraceRequest};

/// Conversations that may go on; the one silent for longest ends.
const OPEN_CONVERSATIONS: usize = 256;

/// Mean time between two requests.
const GAP_MS: u64 = 400;

/// A conversation ends when it has so many tokens.
const CONVERSATION_TOKENS_MAX: u64 = 40_000;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversations {
    /// Requests of the trace.
    pub requests: usize,
    /// System prompts to choose from.
    pub system_prompts: usize,
    /// Of a hundred requests, those that open a conversation.
    pub opening_percent: u32,
    /// Of a hundred requests, those that repeat the last one of a conversation.
    pub repeated_percent: u32,
    /// Seed of all draws.
    pub seed: u64,
}

impl Conversations {
    /// What the shipped trace is made of.
    pub const SHIPPED: Self = Self {
        requests: 2_000,
        system_prompts: 40,
        opening_percent: 30,
        repeated_percent: 4,
        seed: 42,
    };

    /// Generates the trace.
    #[must_use]
    pub fn generate(&self) -> Trace {
        let mut generator = Generator::new(self);
        let requests = (0..self.requests)
            .map(|_| generator.request(self))
            .collect();
        Trace {
            block_tokens: BLOCK_TOKENS,
            requests,
            skipped_lines: 0,
        }
    }
}

/// A conversation as its next request finds it.
#[derive(Clone, Debug)]
struct Conversation {
    /// Ids of its full blocks.
    full: Vec<u64>,
    /// Tokens so far, the last answer included.
    tokens: u64,
    /// Its last request.
    last: Option<TraceRequest>,
}

struct Generator {
    random: Xoshiro256PlusPlus,
    now_ms: u64,
    next_id: u64,
    /// Tokens of each system prompt.
    system_tokens: Vec<u64>,
    /// The ids of each system prompt's full blocks, once it has been used.
    system_blocks: Vec<Vec<u64>>,
    /// The one that spoke last comes first.
    open: VecDeque<Conversation>,
}

impl Generator {
    fn new(options: &Conversations) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
        let system_tokens = (0..options.system_prompts.max(1))
            .map(|_| skewed(&mut random, 6_000) + 200)
            .collect();
        Self {
            random,
            now_ms: 0,
            next_id: 0,
            system_tokens,
            system_blocks: vec![Vec::new(); options.system_prompts.max(1)],
            open: VecDeque::new(),
        }
    }

    fn request(&mut self, options: &Conversations) -> TraceRequest {
        self.now_ms += self.random.random_range(0..=2 * GAP_MS);
        let draw = self.random.random_range(0..100);
        let mut conversation = if self.open.is_empty() || draw < options.opening_percent {
            self.opening()
        } else {
            let rank = skewed(&mut self.random, self.open.len() as u64);
            let rank = usize::try_from(rank).unwrap_or(0);
            self.open.remove(rank).unwrap_or_else(|| self.opening())
        };
        let is_repeated = draw >= 100_u32.saturating_sub(options.repeated_percent);
        let request = match conversation.last.take() {
            Some(last) if is_repeated => TraceRequest {
                arrival_ms: self.now_ms,
                ..last
            },
            _ => self.turn(&mut conversation),
        };
        conversation.last = Some(request.clone());
        if conversation.tokens < CONVERSATION_TOKENS_MAX {
            self.open.push_front(conversation);
            self.open.truncate(OPEN_CONVERSATIONS);
        }
        request
    }

    /// Begins a conversation with a system prompt.
    fn opening(&mut self) -> Conversation {
        let rank = skewed(&mut self.random, self.system_tokens.len() as u64);
        let prompt = usize::try_from(rank).unwrap_or(0);
        let tokens = self.system_tokens[prompt];
        if self.system_blocks[prompt].is_empty() {
            self.system_blocks[prompt] = self.ids(tokens / BLOCK_TOKENS);
        }
        Conversation {
            full: self.system_blocks[prompt].clone(),
            tokens,
            last: None,
        }
    }

    /// Adds a question, and after the request its answer.
    fn turn(&mut self, conversation: &mut Conversation) -> TraceRequest {
        // One question in eight comes with a document.
        let question = match self.random.random_range(0..8) {
            0 => 1_000 + skewed(&mut self.random, 12_000),
            _ => 20 + skewed(&mut self.random, 1_500),
        };
        let answer = 10 + skewed(&mut self.random, 1_200);
        let input_tokens = conversation.tokens + question;
        let full = input_tokens / BLOCK_TOKENS;
        let grown = self.ids(full - conversation.full.len() as u64);
        conversation.full.extend(grown);
        conversation.tokens = input_tokens + answer;
        let mut blocks = conversation.full.clone();
        let has_partial = !input_tokens.is_multiple_of(BLOCK_TOKENS);
        blocks.extend(self.ids(u64::from(has_partial)));
        let count = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
        TraceRequest {
            arrival_ms: self.now_ms,
            input_tokens: count(input_tokens),
            output_tokens: count(answer),
            blocks,
            object_bytes: None,
        }
    }

    fn ids(&mut self, count: u64) -> Vec<u64> {
        let first = self.next_id;
        self.next_id += count;
        (first..self.next_id).collect()
    }
}

/// Draws a number below `bound`, every magnitude alike: 0 as often as 1 and 2, or as 3 to 6.
fn skewed(random: &mut Xoshiro256PlusPlus, bound: u64) -> u64 {
    let magnitudes = (bound + 1).ilog2();
    let magnitude = random.random_range(0..=magnitudes.saturating_sub(1));
    let first = (1 << magnitude) - 1;
    let last = if magnitude + 1 >= magnitudes {
        bound.max(1) - 1
    } else {
        (1 << (magnitude + 1)) - 2
    };
    random.random_range(first..=last)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{BadLines, SHIPPED};
    use super::*;

    #[test]
    fn the_shipped_trace_is_what_its_seed_gives() {
        assert_eq!(Conversations::SHIPPED.generate().to_text(), SHIPPED);
        assert!(SHIPPED.len() < 200_000, "{} bytes", SHIPPED.len());
    }

    #[test]
    fn another_seed_gives_another_trace() {
        let options = Conversations::SHIPPED;
        let other = Conversations {
            seed: 43,
            ..options
        };
        assert_ne!(options.generate(), other.generate());
    }

    #[test]
    fn generated_traces_can_be_read_back() {
        let options = Conversations {
            requests: 5_000,
            seed: 7,
            ..Conversations::SHIPPED
        };
        let trace = options.generate();
        let text = trace.to_text();
        assert_eq!(
            Trace::read(text.as_bytes(), BadLines::Refuse, BLOCK_TOKENS).unwrap(),
            trace
        );
    }

    #[test]
    fn a_third_of_the_blocks_were_asked_for_before() {
        let mut seen = HashSet::new();
        let (mut hits, mut lookups) = (0_u64, 0_u64);
        for request in Trace::shipped().requests {
            for block in request.blocks {
                lookups += 1;
                hits += u64::from(!seen.insert(block));
            }
        }
        assert!(hits * 100 > lookups * 33, "{hits} of {lookups}");
        assert!(hits * 100 < lookups * 90, "{hits} of {lookups}");
    }

    #[test]
    fn skewed_draws_stay_below_their_bound_and_reach_both_ends() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        for bound in [1, 2, 3, 6, 7, 8, 40, 100] {
            let drawn: HashSet<u64> = (0..20_000).map(|_| skewed(&mut random, bound)).collect();
            let ends = (drawn.iter().min(), drawn.iter().max());
            assert_eq!(ends, (Some(&0), Some(&(bound - 1))), "bound {bound}");
        }
    }
}
