//! What the library has to say beside its answers, given to a function of the caller.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and the caller's function is called"
)]

use std::{
    ffi::{CString, c_char, c_void},
    fmt::{self, Write as _},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{call::run, fault::Fault, status::Status};

/// Something went wrong, and nobody was told by a status.
pub const MC_LOG_ERROR: u32 = 1;
/// Something is not as it was asked for, such as lesser pages.
pub const MC_LOG_WARN: u32 = 2;
/// What was set up.
pub const MC_LOG_INFO: u32 = 3;
/// What helps to find out why.
pub const MC_LOG_DEBUG: u32 = 4;

/// A function that is told what the library has to say. It may be called by any thread, by several at
/// once; the text is valid during the call. Whoever calls it may hold locks, so it must not use the
/// library.
pub type LogCallback =
    Option<unsafe extern "C" fn(context: *mut c_void, level: u32, message: *const c_char)>;

/// Who is told; nobody if there is none.
static SINK: ArcSwapOption<Sink> = ArcSwapOption::const_empty();

/// The level up to which the caller wants to be told, 0 for nothing. Read before anything is put into
/// words; it orders nothing, so Relaxed.
static LEVEL_MAX: AtomicU32 = AtomicU32::new(0);

struct Sink {
    callback: unsafe extern "C" fn(*mut c_void, u32, *const c_char),
    context: *mut c_void,
}

// SAFETY: the caller of `mc_log_set` vouches for calls of the function with the context by any thread,
// and the library does nothing else with it.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

/// Has `callback` told what the library has to say, up to a level, one of the `MC_LOG_` constants; no
/// longer if it is null. Without a callback, warnings about the environment of buffers go to standard
/// error and the rest nowhere.
///
/// Any thread may call this; calls of the callback before may still be under way when it returns.
///
/// Fails with `MC_STATUS_INVALID_ARGUMENT` for an unknown level.
///
/// # Safety
///
/// Any thread may call `callback` with `context`, for as long as the process runs or until another one
/// was set and its last call has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_log_set(
    callback: LogCallback,
    context: *mut c_void,
    level_max: u32,
) -> Status {
    run(|| {
        let Some(callback) = callback else {
            LEVEL_MAX.store(0, Ordering::Relaxed);
            SINK.store(None);
            return Ok(());
        };
        if !(MC_LOG_ERROR..=MC_LOG_DEBUG).contains(&level_max) {
            let accepted = "one of the MC_LOG_ constants";
            return Err(Fault::option("level_max", level_max, accepted));
        }
        subscribe();
        SINK.store(Some(Arc::new(Sink { callback, context })));
        LEVEL_MAX.store(level_max, Ordering::Relaxed);
        Ok(())
    })
}

/// Says something to the callback, or to standard error if there is none: for what must not go unseen.
pub(crate) fn warn(text: &str) {
    if SINK.load().is_some() {
        tell(MC_LOG_WARN, text);
    } else {
        // Standard error that is closed is no reason to fail.
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr().lock(),
            format_args!("mc_alloc: {text}\n"),
        );
    }
}

/// Hears what the crates below say. A program in Rust that listens itself keeps doing so.
fn subscribe() {
    static IS_SUBSCRIBED: OnceLock<()> = OnceLock::new();
    IS_SUBSCRIBED.get_or_init(|| {
        let _ = tracing::subscriber::set_global_default(Listener);
    });
}

fn tell(level: u32, text: &str) {
    let Some(sink) = SINK.load_full() else {
        return;
    };
    if level > LEVEL_MAX.load(Ordering::Relaxed) {
        return;
    }
    let text: String = text.chars().filter(|char| *char != '\0').collect();
    let text = CString::new(text).unwrap_or_default();
    // SAFETY: (1) any thread may call the function with this context, by the clause of `mc_log_set`;
    // (2) the text is a C string that lives through the call.
    unsafe { (sink.callback)(sink.context, level, text.as_ptr()) };
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && number(*metadata.level()) <= LEVEL_MAX.load(Ordering::Relaxed)
    }

    fn register_callsite(
        &self,
        _metadata: &'static Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        // The level may change.
        tracing::subscriber::Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        tell(number(*event.metadata().level()), &line.0);
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// An event in one line: what happened, and the numbers behind it.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes whatever is written to it.
        let _ = match field.name() {
            "message" => {
                let fields = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{fields}")
            }
            name => write!(self.0, "; {name} = {value:?}"),
        };
    }
}

fn number(level: Level) -> u32 {
    match level {
        Level::ERROR => MC_LOG_ERROR,
        Level::WARN => MC_LOG_WARN,
        Level::INFO => MC_LOG_INFO,
        // Finer than a C program can ask for.
        Level::TRACE => MC_LOG_DEBUG + 1,
        _ => MC_LOG_DEBUG,
    }
}
