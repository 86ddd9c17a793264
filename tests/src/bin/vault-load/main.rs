//! Load tests against a simulated vault: `cargo xtask load`. Starts the product, the vault and k6, lets happen what the
//! scenario says, and judges from the vault's own log.
//!
//! Exit status: 0 when no rule broke (a figure of speed may be short), 1 when one did, others when a run could not be made.

mod judge;
mod k6;
mod plot;
mod processes;
mod purposes;
mod report;
mod scenario;
mod sink;
mod stage;
mod vault_log;
mod window;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use judge::{Evidence, Judgement};
use processes::Watch;
use scenario::Scenario;
use stage::Stage;
use xtask::load::Options;

/// What scripts may take beyond their load: people who scan last, and the burst's own times.
const GRACE: Duration = Duration::from_secs(240);

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&words) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("vault-load: {error} (start me with `cargo xtask load`)");
            return ExitCode::from(2);
        }
    };
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first provider");
    std::fs::create_dir_all(&options.out).expect("the output folder");
    let mut judgements = Vec::new();
    for scenario in scenario::plan(&options) {
        println!(
            "\n==== {}: limit {} per 10 s ({}), {:.1} creates/s for {} s, {} replica(s) on {:?}",
            scenario.name,
            scenario.limit,
            scenario.window,
            scenario.rate,
            scenario.seconds,
            scenario.replicas,
            scenario.database
        );
        let judgement = play(&scenario, &options.out).await;
        print!("{}", report::text(&judgement));
        judgements.push(judgement);
        // After each: a long run that is broken off has shown something.
        report::write(&judgements, options.quick, &options.out).expect("the output folder");
    }
    println!("\n==== verdicts");
    print!("{}", report::verdicts(&judgements));
    println!("tables and plots: {}", options.out.display());
    if judgements.iter().any(Judgement::is_broken) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One run, from the first start to the judgement.
async fn play(scenario: &Scenario, out: &Path) -> Judgement {
    let scratch = tempfile::Builder::new().prefix("credenza-load-").tempdir().expect("a temporary directory");
    let mut stage = Stage::start(scenario, scratch.path()).await;
    let k6 = k6::K6::start(scenario, &stage, scratch.path());
    let watch = Watch::start(stage.pids(), vec![("vault-sim", stage.vault.pid()), ("k6", k6.pid())]);
    let began = Instant::now();
    let limit = Duration::from_secs(u64::from(scenario.seconds)) + GRACE;
    let mut events = Vec::new();
    let running = tokio::spawn(k6.finish(limit));
    for (second, event) in &scenario.events {
        tokio::time::sleep_until((began + Duration::from_secs(u64::from(*second))).into()).await;
        events.push((began.elapsed().as_secs_f64(), event.label()));
        stage.happen(*event).await;
        watch.product(stage.pids());
    }
    let metrics = match running.await {
        Ok(metrics) => metrics,
        Err(failure) => {
            keep(scratch.path(), out, scenario);
            panic!("{failure}");
        }
    };
    let (memory, cpu) = watch.finish();
    settle(&stage).await;
    let callbacks = stage.sink.successes();
    let finished = stage.finish();
    let rows = vault_log::read(&finished.log_dir);
    let judgement = judge::judge(
        scenario,
        Evidence { rows, purposes: finished.purposes, metrics, memory, cpu, callbacks, events },
    );
    for name in ["k6.log", "k6.json", "credenza.log"] {
        // A run whose logs cannot be kept is a run nevertheless.
        std::fs::copy(scratch.path().join(name), out.join(format!("{}.{name}", scenario.name))).ok();
    }
    if judgement.is_broken() {
        keep(scratch.path(), out, scenario);
    }
    judgement
}

/// Waits until no callback has come for a moment.
async fn settle(stage: &Stage) {
    let mut seen = stage.sink.count();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if stage.sink.count() == seen {
            return;
        }
        seen = stage.sink.count();
    }
}

/// Copies the vault's log and every program's output beside the tables, to find out why.
fn keep(from: &Path, out: &Path, scenario: &Scenario) {
    let to = out.join(format!("{}-broken", scenario.name));
    std::fs::remove_dir_all(&to).ok();
    if let Err(error) = copy(from, &to) {
        eprintln!("vault-load: cannot keep {}: {error}", to.display());
    } else {
        println!("everything of this run: {}", to.display());
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?
        } else {
            std::fs::copy(entry.path(), target).map(drop)?
        }
    }
    Ok(())
}
