//! Generates the messages from `proto/` without a protobuf compiler on the machine.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let names = ["client.proto", "server.proto", "trunk.proto"];
    for name in names {
        println!("cargo:rerun-if-changed={}", proto.join(name).display());
    }
    let files = protox::compile(names, [&proto])?;
    prost_build::Config::new()
        .btree_map(["."])
        .compile_fds(files)?;
    Ok(())
}
