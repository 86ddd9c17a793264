//! Where the programs under test are. Builds nothing: `cargo xtask test` does, and a missing program is an error.

use std::path::PathBuf;

use xtask::tools::{self, Tool};

/// The path of the workspace's own binary `name`: in `CREDENZA_BIN_DIR`, else beside this test in the target directory.
///
/// # Panics
/// When it has not been built; the message names the command.
#[must_use]
pub fn target_bin(name: &str) -> PathBuf {
    let directory = std::env::var_os("CREDENZA_BIN_DIR").map_or_else(beside_this_test, PathBuf::from);
    let program = directory.join(name);
    assert!(
        program.is_file(),
        "{} does not exist: run `cargo build --workspace --bins` first (`cargo xtask test` does)",
        program.display()
    );
    program
}

/// `target/debug`, from this test's own place `target/debug/deps/…`.
fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own place");
    test.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_path_buf()
}

/// A program that is not ours.
///
/// # Panics
/// When it is missing; the message names the package.
#[must_use]
pub fn tool(tool: Tool) -> PathBuf {
    tools::find(tool).unwrap_or_else(|| {
        panic!(
            "{} is missing: `cargo xtask test` installs it, or `apt-get install {}`, or set {}",
            tool.title(),
            tool.package(),
            tool.variable()
        )
    })
}
