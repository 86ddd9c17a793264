//! Where the repository and its target directory are. Owns nothing else; programs of others are `tools`' business.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The root of the repository that this command was built from.
///
/// # Errors
/// When it was not started by cargo.
pub fn repository_root() -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start me with `cargo xtask`")?;
    Path::new(&manifest)
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("crates/xtask lies two levels below the root")
}

/// Cargo's target directory, from this program's own place in it.
///
/// # Errors
/// When this program lies outside of one.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find my own place")?;
    let target =
        program.parent().and_then(Path::parent).context("cargo-xtask runs outside a target directory")?;
    Ok(target.to_path_buf())
}
