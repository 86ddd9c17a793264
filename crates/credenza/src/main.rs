//! The `credenza` program.

mod cli;
mod clock;
mod config;
mod contracts;
mod dev;
mod keys;
mod logging;
mod ready;
mod serve;
mod server;
mod tls;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // One TLS back end for the whole process; a second provider would make rustls panic at its first use.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    drop(installed);
    let cli = cli::Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("background")
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(cli::run(cli)),
        Err(error) => Err(anyhow::Error::from(error).context("the runtime could not be started")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
