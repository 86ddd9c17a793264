//! k6 as a process: what its scripts are told, and what they measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::scenario::Scenario;
use crate::stage::Stage;

/// What k6 measured: by metric, by statistic.
#[derive(Debug, Default)]
pub struct Metrics(BTreeMap<String, Metric>);

#[derive(Debug, Deserialize)]
struct Metric {
    values: BTreeMap<String, f64>,
}

impl Metrics {
    /// The file that a script wrote at its end.
    ///
    /// # Panics
    /// When there is none: then k6 did not get that far, and its log says why.
    pub fn read(file: &Path, log: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_else(|error| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("k6 wrote no summary ({error}). Its output:\n{log}")
        });
        Self(serde_json::from_slice(&text).expect("k6 writes JSON"))
    }

    /// A statistic of a metric; `None` when nothing was measured.
    pub fn value(&self, metric: &str, statistic: &str) -> Option<f64> {
        self.0.get(metric)?.values.get(statistic).copied()
    }

    /// How often something happened.
    pub fn count(&self, metric: &str) -> u64 {
        // Counters hold whole numbers.
        self.value(metric, "count").map_or(0, |count| count as u64)
    }
}

/// A running k6.
pub struct K6 {
    child: Child,
    summary: PathBuf,
    log: PathBuf,
}

impl K6 {
    /// Starts the scenario's script.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(scenario: &Scenario, stage: &Stage, directory: &Path) -> Self {
        let program = required(xtask::k6::VARIABLE);
        let scripts = required("CREDENZA_LOAD_SCRIPTS");
        let (summary, log) = (directory.join("k6.json"), directory.join("k6.log"));
        let open = || std::fs::File::create(&log).expect("the output folder");
        let mut command = Command::new(program);
        command.args(["run", "--quiet", "--no-color", "--no-usage-report", "--address", "127.0.0.1:0"]);
        command.arg(scripts.join(scenario.script));
        command.envs(stage.environment());
        let settings = [
            ("DURATION", scenario.seconds.to_string()),
            ("MEASURE_FROM", scenario.measure_from.to_string()),
            ("RATE", scenario.rate.to_string()),
            ("SCANNED", scenario.scanned.to_string()),
            ("SCAN_MAX", scenario.scan_max.to_string()),
            ("RETRIES", scenario.retries.to_string()),
            ("USERS", scenario.users.to_string()),
            ("BURST", scenario.burst.to_string()),
            ("OUT", summary.display().to_string()),
        ];
        command.envs(settings);
        // The certificate is checked, as a wallet does; k6 takes the variable of its language's library.
        command.env("SSL_CERT_FILE", stage.ca_file());
        // Fewer collections: on this machine k6 shares the processor with what it measures.
        command.env("GOGC", "400");
        let output = open();
        command.stdout(output.try_clone().expect("a file")).stderr(output).stdin(Stdio::null());
        let child = command.kill_on_drop(true).spawn().expect("k6 starts");
        Self { child, summary, log }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Waits for its end, but not beyond `limit`.
    ///
    /// # Panics
    /// When it fails or takes longer.
    pub async fn finish(mut self, limit: Duration) -> Metrics {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("k6 still runs after {limit:?}")).expect("a child");
        let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(status.success(), "k6 ended with {status}:\n{}", log());
        Metrics::read(&self.summary, &self.log)
    }
}

fn required(name: &str) -> PathBuf {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: start me with `cargo xtask load`"))
        .into()
}

#[cfg(test)]
impl Metrics {
    /// From `metric`, `statistic`, value.
    pub fn of(values: &[(&str, &str, f64)]) -> Self {
        let mut metrics = Self::default();
        for (metric, statistic, value) in values {
            let metric = metrics.0.entry((*metric).to_owned()).or_insert(Metric { values: BTreeMap::new() });
            metric.values.insert((*statistic).to_owned(), *value);
        }
        metrics
    }
}
