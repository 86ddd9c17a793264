//! Load: whole issuances over HTTPS against a `credenza dev` of its own, and what they cost the server.
//!
//! `cargo run --release --package credenza-tests --bin load -- --help`. Reports issuances per second, latencies by step,
//! and server CPU per issuance with its split by thread, from `/proc`. The unit that outlives machines is the ratio to
//! one P-256 verification by aws-lc-rs, measured in the same run.

mod client;
mod cpu;
mod sink;
mod steps;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credenza_tests::process::{Credenza, Options};
use steps::{Samples, Target};

/// What can be set.
struct Settings {
    wallets: usize,
    seconds: u64,
    qr: bool,
    callbacks: bool,
    program: PathBuf,
    database: Option<String>,
}

fn settings() -> Settings {
    let mut settings = Settings {
        wallets: 32,
        seconds: 15,
        qr: false,
        callbacks: true,
        program: PathBuf::from("target/release/credenza"),
        database: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--wallets" => settings.wallets = value().parse().expect("a number of wallets"),
            "--seconds" => settings.seconds = value().parse().expect("a number of seconds"),
            "--program" => settings.program = value().into(),
            "--database" => settings.database = Some(value()),
            "--qr" => settings.qr = true,
            "--no-callbacks" => settings.callbacks = false,
            _ => {
                println!(
                    "load [--wallets 32] [--seconds 15] [--qr] [--no-callbacks] [--database URL] [--program FILE]"
                );
                std::process::exit(if word == "--help" { 0 } else { 2 });
            }
        }
    }
    settings
}

#[tokio::main]
async fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first provider");
    let settings = settings();
    let sink = sink::start().await;
    let mut server = Credenza::start(Options {
        program: Some(std::path::absolute(&settings.program).expect("a path")),
        database_url: settings.database.clone(),
        ..Options::default()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle_rss = cpu::resident_mib(server.pid());
    let token = server.token().await;
    let ready = server.ready();
    let target = Arc::new(Target {
        https: ready.https.clone().expect("https"),
        ca: std::fs::read(ready.ca_file.as_ref().expect("a CA file")).expect("the CA"),
        authority: ready.authority_did.clone().expect("an authority"),
        manifest: ready.manifest_url.clone().expect("a manifest"),
        token,
        callback: settings.callbacks.then(|| sink.url.clone()),
        qr: settings.qr,
    });
    // Warm up: connections, statement caches, the first status block.
    drive(&target, settings.wallets, Duration::from_secs(2)).await;
    settle(&sink).await;

    let before = cpu::snapshot(server.pid());
    let delivered = sink.count();
    let unit = cpu::Unit::start();
    let began = Instant::now();
    let samples = drive(&target, settings.wallets, Duration::from_secs(settings.seconds)).await;
    let took = began.elapsed();
    let verification = unit.finish();
    settle(&sink).await;
    let after = cpu::snapshot(server.pid());
    let done = samples.whole.len();
    assert!(done > 0, "no issuance ended well: {}", samples.failures.first().cloned().unwrap_or_default());

    println!(
        "{} wallets, {:.1} s, callbacks {}, QR {}",
        settings.wallets,
        took.as_secs_f64(),
        settings.callbacks,
        settings.qr
    );
    println!(
        "issuances        {done} ({:.0}/s), failed {}",
        done as f64 / took.as_secs_f64(),
        samples.failures.len()
    );
    println!(
        "callbacks        {} received ({:.2} per issuance)",
        sink.count() - delivered,
        (sink.count() - delivered) as f64 / done as f64
    );
    for (name, values) in samples.named() {
        println!(
            "{name:<16} p50 {:>7.2} ms   p99 {:>7.2} ms",
            percentile(values, 50),
            percentile(values, 99)
        );
    }
    let total = after.total_ms - before.total_ms;
    let per_issuance = total / done as f64;
    println!(
        "server CPU       {per_issuance:.3} ms per issuance = {:.1} P-256 verifications of {:.1} us",
        per_issuance * 1000.0 / verification,
        verification
    );
    for (thread, ms) in cpu::split(&before, &after) {
        println!("  {thread:<14} {:.3} ms", ms / done as f64);
    }
    println!(
        "resident         {idle_rss:.1} MiB idle, {:.1} MiB after the load",
        cpu::resident_mib(server.pid())
    );
    for failure in samples.failures.iter().take(3) {
        println!("failure: {failure}");
    }
    server.stop();
}

/// Runs wallets until the time is over.
async fn drive(target: &Arc<Target>, wallets: usize, time: Duration) -> Samples {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..wallets)
        .map(|_| {
            let (target, stop) = (Arc::clone(target), Arc::clone(&stop));
            tokio::spawn(async move { steps::wallet(&target, &stop).await })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Samples::default();
    for task in tasks {
        all.add(task.await.expect("a wallet's task"));
    }
    all
}

/// Waits until no callback has come for a moment: their cost belongs to the run.
async fn settle(sink: &sink::Sink) {
    let mut seen = sink.count();
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if sink.count() == seen {
            return;
        }
        seen = sink.count();
    }
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
