//! The development wallet's command line: a thin layer over the `wallet` library.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> anyhow::Result<ExitCode> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_present| anyhow::anyhow!("a TLS provider is installed already"))?;
    let arguments = cli::args::Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(cli::run(arguments))?)
}
