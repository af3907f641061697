//! `put`, `get` and `status`.

use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
};

use mc_cluster::client::{Streams, Transport};

use super::{
    arguments::{ClientArguments, ObjectArguments},
    console::{describe, read, tell},
};

pub(crate) async fn put<T: Transport>(
    arguments: ObjectArguments,
    transport: T,
) -> Result<(), Box<dyn Error>> {
    let bytes = match &arguments.file {
        Some(file) => read(file)?,
        None => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            bytes
        }
    };
    let client = arguments.client.client(transport).await?;
    let copies = client.put(arguments.key.as_bytes(), bytes.into()).await?;
    tell(&format!("copies: {copies}"))?;
    Ok(())
}

pub(crate) async fn get<T: Transport>(
    arguments: ObjectArguments,
    transport: T,
) -> Result<(), Box<dyn Error>> {
    let client = arguments.client.client(transport).await?;
    let bytes = client.get(arguments.key.as_bytes()).await?;
    let key = &arguments.key;
    let bytes = bytes.ok_or_else(|| match client.counts().unanswered {
        0 => format!("no object is stored under {key:?}"),
        _ => format!("no host that answers has an object under {key:?}"),
    })?;
    match &arguments.file {
        Some(file) => fs::write(file, &bytes)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?,
        None => io::stdout().lock().write_all(&bytes)?,
    }
    Ok(())
}

pub(crate) async fn status(arguments: ClientArguments) -> Result<(), Box<dyn Error>> {
    let client = arguments.client(Streams).await?;
    tell("name  address  objects  bytes  capacity  in flight  leases  takes puts")?;
    let mut silent = 0;
    for (member, answer) in client.status().await {
        let (name, address) = (&member.name, &member.address);
        match answer {
            Ok(stats) => tell(&format!(
                "{name}  {address}  {}  {}  {}  {}  {}  {}",
                stats.objects,
                stats.live_bytes,
                stats.capacity_bytes,
                stats.puts_in_flight,
                stats.leases,
                stats.takes_puts
            ))?,
            Err(error) => {
                silent += 1;
                tell(&format!("{name}  {address}  {}", describe(&error)))?;
            }
        }
    }
    match silent {
        0 => Ok(()),
        silent => Err(format!("{silent} members do not answer").into()),
    }
}
