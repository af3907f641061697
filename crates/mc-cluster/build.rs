//! Generates the code of the wire formats, with a compiler in Rust: nothing but cargo is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let own = protox::compile(["proto/mc_cluster.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Shared with the message that they came in instead of copied.
        .bytes(".mc.cluster.v1")
        .build_transport(false)
        .compile_fds(own)?;
    let of_etcd = protox::compile(["proto/etcd.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Tests stand in for it.
        .server_mod_attribute(".", "#[cfg(test)]")
        .build_transport(false)
        .compile_fds(of_etcd)?;
    Ok(())
}
