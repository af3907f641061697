//! The command `mc-nixl`: a node, and clients, whose bytes go by NIXL.

#[path = "../../../../mc-cluster/src/bin/mc-cluster/baseline.rs"]
mod baseline;
mod bench;
#[path = "../../../../mc-cluster/src/bin/mc-cluster/console.rs"]
mod console;

use std::{
    error::Error,
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command as Process, ExitCode},
    sync::Arc,
};

use clap::{Args, Parser};
use mc_arena::{PagePolicy, size::parse_bytes};
use mc_cluster::{
    Client, ClientOptions, Members, Node, NodeOptions,
    client::{Direct, Streams, Transport},
};
use mc_nixl::{NixlEngine, NixlOptions, NixlReach};
use tokio::signal::unix::{SignalKind, signal};

use self::console::{describe, read, say, tell, token};

/// Serves and reads the memory of hosts by NIXL.
///
/// The library is sought in `LD_LIBRARY_PATH`, and UCX uses `UCX_NET_DEVICES`: lo unless that is set.
#[derive(Debug, Parser)]
#[command(name = "mc-nixl", version)]
enum Command {
    /// Serve memory of this host until a signal comes
    Node(NodeArguments),
    /// Put an object from a file
    Put(ObjectArguments),
    /// Get an object into a file
    Get(ObjectArguments),
    /// Measure a block by NIXL and by gRPC against a node that is started for it
    Bench {
        /// Seconds for each measurement
        #[arg(long, default_value = "2", value_name = "SECONDS")]
        seconds: u64,
    },
}

#[derive(Debug, Args)]
struct NodeArguments {
    /// The name that clients know it by
    #[arg(long)]
    name: String,
    /// Bytes to serve, such as 64gb
    #[arg(long, value_parser = parse_bytes)]
    size: u64,
    /// Address for clients; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:7001", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// File with the token of the cluster; NIXL asks for none
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Use no huge pages
    #[arg(long)]
    small_pages: bool,
}

#[derive(Debug, Args)]
struct ObjectArguments {
    /// The key
    key: String,
    /// The file
    file: PathBuf,
    /// The nodes, such as a=10.0.0.1:7001,b=10.0.0.2:7001
    #[arg(long, value_name = "LIST")]
    members: String,
    /// File with the token of the cluster
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

const DEVICES: &str = "UCX_NET_DEVICES";

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&describe(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    if std::env::vars_os().all(|(name, _)| name != DEVICES) {
        // UCX reads it when the library is loaded, so the process begins anew with it.
        let mut again = Process::new(std::env::current_exe()?);
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        return Err(again.args(arguments).env(DEVICES, "lo").exec().into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Node(arguments) => serve(arguments).await,
            Command::Put(arguments) => match direct()? {
                Some(direct) => put(&arguments, direct.clone(), || tell_way(&direct)).await,
                None => put(&arguments, Streams, || Ok(())).await,
            },
            Command::Get(arguments) => match direct()? {
                Some(direct) => get(&arguments, direct.clone(), || tell_way(&direct)).await,
                None => get(&arguments, Streams, || Ok(())).await,
            },
            Command::Bench { seconds } => bench::run(seconds).await,
        }
    })
}

async fn serve(arguments: NodeArguments) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut options = NodeOptions::new(arguments.name, arguments.size);
    options.listen = arguments.listen;
    options.token = token(arguments.token_file.as_deref())?;
    options.engine = Some(Arc::new(NixlEngine::new()?));
    if arguments.small_pages {
        options.memory.pages = PagePolicy::Off;
    }
    let node = Node::start(options).await?;
    // Who started it may want to know the port; nobody has to read it.
    let _ = tell(&format!("listening on {}", node.address()));
    terminate.recv().await;
    node.stop().await;
    Ok(())
}

async fn put<T: Transport>(
    arguments: &ObjectArguments,
    transport: T,
    tell_way: impl FnOnce() -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let bytes = read(&arguments.file)?;
    let client = arguments.client(transport)?;
    let copies = client.put(arguments.key.as_bytes(), bytes.into()).await?;
    tell(&format!("copies: {copies}"))?;
    Ok(tell_way()?)
}

async fn get<T: Transport>(
    arguments: &ObjectArguments,
    transport: T,
    tell_way: impl FnOnce() -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    let client = arguments.client(transport)?;
    let bytes = client.get(arguments.key.as_bytes()).await?;
    let key = &arguments.key;
    let bytes = bytes.ok_or_else(|| format!("no object is stored under {key:?}"))?;
    fs::write(&arguments.file, &bytes)
        .map_err(|error| format!("cannot write {}: {error}", arguments.file.display()))?;
    Ok(tell_way()?)
}

/// Returns the transport, or nothing, with a line that says so, where the library is not there.
fn direct() -> Result<Option<Direct<NixlReach>>, Box<dyn Error>> {
    match NixlReach::new(&NixlOptions::default()) {
        Ok(reach) => Ok(Some(Direct::new(reach))),
        Err(error @ mc_nixl::NixlError::NoLibrary) => {
            say(&format!("the bytes go by gRPC: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn tell_way(direct: &Direct<NixlReach>) -> io::Result<()> {
    let counts = direct.counts();
    let (direct, streamed) = (counts.direct, counts.streamed);
    tell(&format!("{direct} objects by NIXL, {streamed} by gRPC"))
}

impl ObjectArguments {
    fn client<T: Transport>(&self, transport: T) -> Result<Client<T>, Box<dyn Error>> {
        let mut options = ClientOptions::default();
        options.connection.token = token(self.token_file.as_deref())?;
        let members = Members::parse(&self.members)?;
        Ok(Client::with_transport(members, options, transport))
    }
}
