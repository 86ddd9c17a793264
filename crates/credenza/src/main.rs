//! The `credenza` program.

mod cli;
mod clock;
mod config;
mod contracts;
mod dev;
mod doctor;
mod installation;
mod keys;
mod logging;
mod plan;
mod ready;
mod report;
mod secret_file;
mod serve;
mod server;
mod stop;
mod tls;
mod vaults;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // One TLS back end for the whole process; a second provider would make rustls panic at its first use.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    drop(installed);
    let cli = cli::Cli::parse();
    // Connections have threads of their own. On a small machine a second one here only makes the signing steps and the
    // committer wake each other across cores.
    let background =
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2) { 2 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(background)
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
