//! One request to NIXL, from its start to its certain end.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use mc_cluster::engine::{EngineError, ReachError};
use nixl_sys::{Agent, MemType, XferDescList, XferOp, XferRequest, XferStatus};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::staging::Staged;

/// Set when nobody waits for a transfer any more. A hint, so `Relaxed`.
pub(crate) type Abandoned = AtomicBool;

/// Requests that were given up and have not ended, with the buffers that they use.
#[derive(Default)]
pub(crate) struct Lingering(Mutex<Vec<Request>>);

/// A request that was posted. It ends before its buffers are given up.
struct Request {
    request: XferRequest,
    /// When it was first seen to have failed.
    failed: Option<Instant>,
    staged: Vec<Staged>,
}

/// Between here and there: what is moved, and where it is in the memory of the node.
pub(crate) struct Parts<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) remote: &'a str,
    pub(crate) operation: XferOp,
    /// Address and bytes here and there, in turn as long as each other.
    pub(crate) pairs: Vec<(usize, Range<u64>)>,
    pub(crate) staged: Vec<Staged>,
}

/// How long the buffers of a request that failed stay taken: whatever UCX may still do with them when
/// it closes the connection is over by then.
const FAILED_TIME: Duration = Duration::from_secs(5);

/// Looks at a request without a pause, and the pauses after that: most requests take a millisecond or two.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_micros(20);
const PAUSE_LONG: Duration = Duration::from_millis(1);
const LOOKS_LONG: u32 = 500;

impl Parts<'_> {
    /// Moves the bytes and returns their buffers when all have arrived. What has not ended by `until`,
    /// or when nobody waits for it any more, lingers with its buffers until it has.
    pub(crate) fn run(
        self,
        lingering: &Lingering,
        until: Instant,
        abandoned: &Abandoned,
    ) -> Result<Vec<Staged>, ReachError> {
        let not_begun = |error: nixl_sys::NixlError| ReachError::NotBegun(error.into());
        let mut local = XferDescList::new(MemType::Dram).map_err(not_begun)?;
        let mut remote = XferDescList::new(MemType::Dram).map_err(not_begun)?;
        for (here, there) in &self.pairs {
            let bytes = usize::try_from(there.end - there.start).unwrap_or(usize::MAX);
            let address = usize::try_from(there.start).unwrap_or(usize::MAX);
            local.add_desc(*here, bytes, 0);
            remote.add_desc(address, bytes, 0);
        }
        let agent = self.agent;
        let request = agent
            .create_xfer_req(self.operation, &local, &remote, self.remote, None)
            .map_err(not_begun)?;
        if Instant::now() >= until || abandoned.load(Ordering::Relaxed) {
            return Err(ReachError::NotBegun("its time is over".into()));
        }
        let mut request = Request {
            request,
            failed: None,
            staged: self.staged,
        };
        let posted = agent.post_xfer_req(&request.request, None);
        let ended = match posted {
            Ok(false) => Ok(()),
            Ok(true) => wait(agent, &request.request, until, abandoned),
            Err(error) => Err(error.into()),
        };
        match ended {
            Ok(()) => {
                let Request {
                    request, staged, ..
                } = request;
                drop(request);
                Ok(staged)
            }
            Err(error) => {
                request.look(agent);
                lingering.0.lock().push(request);
                Err(ReachError::Failed(error))
            }
        }
    }
}

/// Waits for the end of a request.
fn wait(
    agent: &Agent,
    request: &XferRequest,
    until: Instant,
    abandoned: &Abandoned,
) -> Result<(), EngineError> {
    for look in 0_u32.. {
        match agent.get_xfer_status(request)? {
            XferStatus::Success => return Ok(()),
            XferStatus::InProgress if abandoned.load(Ordering::Relaxed) => {
                return Err("nobody waits for it".into());
            }
            XferStatus::InProgress if Instant::now() >= until => {
                return Err("it has not ended in time".into());
            }
            XferStatus::InProgress if look < LOOKS => thread::yield_now(),
            XferStatus::InProgress if look < LOOKS_LONG => thread::sleep(PAUSE),
            XferStatus::InProgress => thread::sleep(PAUSE_LONG),
        }
    }
    Err("it has not ended".into())
}

impl Lingering {
    /// Lets go of requests that have ended meanwhile.
    pub(crate) fn sweep(&self, agent: &Agent) {
        let mut requests = self.0.lock();
        requests.retain_mut(|request| !request.look(agent));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Request {
    /// Says whether neither the request nor the connection that it had uses the buffers any more.
    fn look(&mut self, agent: &Agent) -> bool {
        match agent.get_xfer_status(&self.request) {
            Ok(XferStatus::Success) => true,
            Ok(XferStatus::InProgress) => false,
            Err(_) => {
                let failed = self.failed.get_or_insert_with(Instant::now);
                failed.elapsed() >= FAILED_TIME
            }
        }
    }
}
