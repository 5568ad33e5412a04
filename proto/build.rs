//! Compiles the `.proto` files to Rust without protoc, and writes their descriptors for gRPC reflection.
#![expect(clippy::disallowed_methods, reason = "a build script is told its folder by the environment")]

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=batteuse");
    let descriptors = protox::compile(["batteuse/v1/worker.proto", "batteuse/v1/control.proto"], ["."])?;

    // Comments become documentation of the generated code; reflection has no use for them.
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run by cargo only")?);
    std::fs::write(out.join("batteuse_descriptor.bin"), bare.encode_to_vec())?;

    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
