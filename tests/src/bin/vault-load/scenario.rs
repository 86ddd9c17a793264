//! What is played: the load, the product's layout and what happens meanwhile. Decides from the command line alone; starts
//! nothing.

use std::time::Duration;

use xtask::load::Options;

/// The vault's window.
pub const WINDOW: Duration = Duration::from_secs(10);
/// The documented limit of HSM-protected EC keys, per window.
const LIMIT: u32 = 2000;
/// The limit of `--quick`.
const QUICK_LIMIT: u32 = 200;
/// The share of people who scan; the others never do.
const SCANNED: f64 = 0.7;
/// Signatures of one whole issuance on the Entra wire.
pub const SIGNATURES: f64 = 2.0;
/// What is left out of every measurement of a steady state after a cold start: `m` is learnt from requests up to 240 s old.
const COLD_START: u32 = 240;

/// The kinds of scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Half of the budget.
    Issuance,
    /// Everybody in the same moment, after it was quiet.
    Burst,
    /// Another tenant takes half of the budget for a while.
    Foreign,
    /// Three times the budget.
    Overload,
    /// The same over three replicas.
    Replicas,
    /// The same, and a replica is killed and started again.
    Restart,
}

/// Where the product keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file of its own.
    Sqlite,
    /// A server of its own, with fsync.
    Postgres,
}

/// Something that happens while the load runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The other tenant takes this many operations per second; 0 ends it.
    Foreign(u32),
    /// SIGKILL.
    Kill(usize),
    /// The killed replica comes back.
    Start(usize),
}

impl Event {
    /// For the plot.
    pub fn label(self) -> String {
        match self {
            Self::Foreign(0) => "foreign tenant gone".to_owned(),
            Self::Foreign(rate) => format!("foreign tenant {rate}/s"),
            Self::Kill(replica) => format!("kill {}", replica + 1),
            Self::Start(replica) => format!("start {}", replica + 1),
        }
    }
}

/// One run.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub kind: Kind,
    /// Also the name of its files.
    pub name: String,
    /// The simulator's window mode.
    pub window: String,
    /// Operations that the vault takes per [`WINDOW`].
    pub limit: u32,
    pub replicas: usize,
    pub database: Database,
    /// k6's script.
    pub script: &'static str,
    /// How long create calls arrive, in seconds.
    pub seconds: u32,
    /// From when on it is measured, in seconds.
    pub measure_from: u32,
    /// Create calls per second.
    pub rate: f64,
    /// The share of people who scan, ...
    pub scanned: f64,
    /// ... after one second to this many.
    pub scan_max: u32,
    /// What a caller does after a lost answer, that often.
    pub retries: u32,
    /// k6's virtual users (each plays many people).
    pub users: u32,
    /// Requests of a burst.
    pub burst: u32,
    /// Seconds after the start of the load, in order.
    pub events: Vec<(u32, Event)>,
    /// Too small to prove figures of speed.
    pub quick: bool,
}

/// Everything that was asked for, in order.
pub fn plan(options: &Options) -> Vec<Scenario> {
    let mut all = Vec::new();
    for name in &options.scenarios {
        match name.as_str() {
            "overload" => {
                for window in &options.windows {
                    all.push(overload(options, window));
                }
            }
            "issuance" => all.push(issuance(options)),
            "burst" => all.push(burst(options)),
            "foreign" => all.push(foreign(options)),
            "replicas" => all.push(replicas(options)),
            "restart" => all.push(restart(options)),
            other => unreachable!("the command line lets no `{other}` through"),
        }
    }
    all
}

/// Signatures per second that the vault takes.
fn budget(limit: u32) -> f64 {
    f64::from(limit) / WINDOW.as_secs_f64()
}

/// Create calls per second that ask for `share` of the budget.
fn rate(scenario: &Scenario, share: f64) -> f64 {
    share * budget(scenario.limit) / (SIGNATURES * scenario.scanned)
}

fn base(options: &Options, kind: Kind, name: &str) -> Scenario {
    let limit = if options.quick { QUICK_LIMIT } else { LIMIT };
    let database = if options.database == "postgres" { Database::Postgres } else { Database::Sqlite };
    let mut scenario = Scenario {
        kind,
        name: name.to_owned(),
        window: "sliding".to_owned(),
        limit,
        replicas: 1,
        database,
        script: "people.js",
        seconds: if options.quick { 60 } else { 240 },
        measure_from: if options.quick { 15 } else { 60 },
        rate: 0.0,
        // A minute is too short to learn how many never scan, so in a quick run everybody does, and soon: then the limit
        // is pressed nevertheless.
        scanned: if options.quick { 1.0 } else { SCANNED },
        scan_max: if options.quick { 5 } else { 30 },
        retries: 0,
        users: if options.quick { 4 } else { 12 },
        burst: 0,
        events: Vec::new(),
        quick: options.quick,
    };
    scenario.rate = rate(&scenario, 0.5);
    scenario
}

/// A steady state at three times the budget, after the cold start.
fn sustained(options: &Options, kind: Kind, name: &str) -> Scenario {
    let mut scenario = base(options, kind, name);
    scenario.rate = rate(&scenario, 3.0);
    if !options.quick {
        scenario.measure_from = COLD_START;
        scenario.seconds = COLD_START + 60 * options.minutes.unwrap_or(10);
    }
    scenario
}

fn issuance(options: &Options) -> Scenario {
    base(options, Kind::Issuance, "issuance")
}

fn burst(options: &Options) -> Scenario {
    let mut scenario = base(options, Kind::Burst, "burst");
    scenario.script = "burst.js";
    scenario.burst = scenario.limit / 2;
    scenario.rate = 0.3 * budget(scenario.limit);
    scenario.measure_from = 0;
    scenario
}

fn overload(options: &Options, window: &str) -> Scenario {
    let mut scenario = sustained(options, Kind::Overload, &format!("overload-{window}"));
    scenario.window = window.to_owned();
    scenario
}

fn foreign(options: &Options) -> Scenario {
    let mut scenario = sustained(options, Kind::Foreign, "foreign");
    let half = scenario.limit / 2 / u32::try_from(WINDOW.as_secs()).expect("seconds");
    let (begins, ends, seconds) = if options.quick { (20, 50, 80) } else { (300, 540, 720) };
    scenario.seconds = seconds;
    scenario.events = vec![(begins, Event::Foreign(half)), (ends, Event::Foreign(0))];
    scenario
}

fn replicas(options: &Options) -> Scenario {
    let mut scenario = sustained(options, Kind::Replicas, "replicas");
    scenario.replicas = 3;
    scenario.database = Database::Postgres;
    scenario
}

fn restart(options: &Options) -> Scenario {
    let mut scenario = replicas(options);
    scenario.kind = Kind::Restart;
    scenario.name = "restart".to_owned();
    scenario.retries = 8;
    let measured = scenario.seconds - scenario.measure_from;
    let at = |share: u32| scenario.measure_from + measured * share / 100;
    scenario.events = vec![
        (at(25), Event::Kill(1)),
        (at(25) + 8, Event::Start(1)),
        (at(65), Event::Kill(0)),
        (at(65) + 8, Event::Start(0)),
    ];
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(words: &[&str]) -> Vec<Scenario> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        plan(&Options::parse(&words).unwrap())
    }

    #[test]
    fn a_full_run_plays_overload_in_both_windows() {
        let names: Vec<String> = planned(&[]).into_iter().map(|scenario| scenario.name).collect();
        let expected =
            ["issuance", "burst", "foreign", "overload-sliding", "overload-fixed", "replicas", "restart"];
        assert_eq!(names, expected);
        assert_eq!(planned(&["overload", "--window", "fixed"])[0].window, "fixed");
    }

    #[test]
    fn overload_asks_for_three_times_the_budget_and_is_measured_from_the_fifth_minute() {
        let scenario = &planned(&["overload", "--minutes", "2"])[0];
        let asked = scenario.rate * scenario.scanned * SIGNATURES;
        assert!((asked - 600.0).abs() < 1e-6, "{asked}");
        assert_eq!((scenario.measure_from, scenario.seconds, scenario.limit), (240, 360, 2000));
    }

    #[test]
    fn events_lie_inside_the_measured_time_and_replicas_share_postgres() {
        for words in
            [&["restart", "foreign"][..], &["restart", "foreign", "--quick"], &["restart", "--minutes", "1"]]
        {
            for scenario in planned(words) {
                let times: Vec<u32> = scenario.events.iter().map(|(at, _)| *at).collect();
                assert!(times.is_sorted(), "{times:?}");
                assert!(
                    times.iter().all(|at| (scenario.measure_from..scenario.seconds).contains(at)),
                    "{times:?}"
                );
                if scenario.kind == Kind::Restart {
                    assert_eq!((scenario.replicas, scenario.database), (3, Database::Postgres));
                }
            }
        }
    }

    #[test]
    fn quick_is_small() {
        for scenario in planned(&["--quick"]) {
            assert!(scenario.quick && scenario.limit == 200 && scenario.seconds <= 80, "{scenario:?}");
        }
        let asked = planned(&["overload", "--quick"]).remove(0);
        assert!((asked.rate * asked.scanned * SIGNATURES - 60.0).abs() < 1e-6, "three times the budget");
    }
}
