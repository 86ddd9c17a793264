//! What kind of history a seed is: how many processes, how good their clocks, which misfortunes it has.

use super::super::random::Random;
use super::{MS, S};

/// Clocks run up to 0.5 % wrong, in millionths.
const WORST_RATE: i64 = 5000;

pub(super) struct Character {
    /// Reference operations per window.
    pub(super) limit: u32,
    /// Some operations cost two.
    pub(super) heavy: bool,
    /// One machine with a file instead of a database server.
    pub(super) sqlite: bool,
    pub(super) length: i64,
    /// Looks at the row every second at least, and not only when a slot may return.
    pub(super) restless: bool,
    /// By how much the database's clock is wrong, millionths.
    pub(super) database_rate: i64,
    pub(super) processes: Vec<ProcessCharacter>,
    /// Misfortunes, in thousandths per occasion.
    pub(super) odds: Odds,
    /// Mean time between these, ns; `None` if there are none.
    pub(super) steps: Option<i64>,
    /// Who sleeps through most of it, and looks when the database's clock was set.
    pub(super) sleeper: Option<usize>,
    pub(super) crashes: Option<i64>,
    pub(super) failovers: Option<i64>,
}

pub(super) struct ProcessCharacter {
    pub(super) boot_rate: i64,
    pub(super) boot_offset: i64,
    /// How the vault is spelled in its configuration.
    pub(super) spelling: &'static str,
    /// Between two bursts of work, ns; `None` if it always has some.
    pub(super) idle: Option<i64>,
}

#[derive(Clone, Copy)]
pub(super) struct Odds {
    pub(super) commit_fails: i64,
    pub(super) ack_lost: i64,
    pub(super) notice: i64,
    pub(super) slow_commit: i64,
    pub(super) slow_lock: i64,
    pub(super) rough_reading: i64,
    pub(super) slow_reading: i64,
    pub(super) frozen: i64,
    /// Somebody else's wake comes first, so a slot that has returned is found later.
    pub(super) late_look: i64,
    pub(super) late_poll: i64,
    pub(super) suspended: i64,
    pub(super) unanswered: i64,
    pub(super) gateway: i64,
    pub(super) unauthorized: i64,
    pub(super) recorded_again: i64,
    pub(super) recorded_late: i64,
}

/// What some histories are made for; the others leave everything to chance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    Chance,
    /// One clock fast, one slow, and packets as late as they can be.
    Clocks,
    /// One process sleeps long, and its clock runs fast against the others'.
    Drift,
    /// The database's clock loses time and makes up for it, while one process sleeps.
    LostTime,
    /// The same, and the one that could have seen it is new.
    Newcomers,
    /// Answers that are recorded when it is too late for them.
    OldOutcomes,
}

impl Character {
    pub(super) fn draw(random: &mut Random) -> Self {
        let theme = match random.between(0, 11) {
            0..=4 => Theme::Chance,
            5 | 6 => Theme::Clocks,
            7 => Theme::Drift,
            8 | 9 => Theme::LostTime,
            10 => Theme::Newcomers,
            _ => Theme::OldOutcomes,
        };
        let losing = matches!(theme, Theme::LostTime | Theme::Newcomers);
        let sqlite = theme == Theme::Chance && random.chance(150);
        let rate = |random: &mut Random| match random.between(0, 3) {
            _ if theme == Theme::Clocks => random.pick(&[-WORST_RATE, WORST_RATE]),
            0 => 0,
            1 => random.between(-WORST_RATE, WORST_RATE),
            _ => random.pick(&[-WORST_RATE, WORST_RATE]),
        };
        let database_rate = match theme {
            Theme::Clocks => WORST_RATE,
            Theme::Drift => -WORST_RATE,
            _ => rate(random),
        };
        let many =
            if theme == Theme::Chance { random.pick(&[1, 1, 2, 2, 3, 4]) } else { random.pick(&[2, 2, 3]) };
        let mut processes: Vec<_> = (0..many)
            .map(|_| ProcessCharacter {
                boot_rate: if sqlite { database_rate } else { rate(random) },
                boot_offset: if sqlite { 100 * S } else { random.between(0, 1000) * S },
                spelling: random.pick(&["v1.example", "V1.example", "v1.EXAMPLE.:443"]),
                idle: random.chance(300).then(|| random.pick(&[15, 40, 100]) * S),
            })
            .collect();
        if theme == Theme::Clocks {
            // What the slow one sent late is followed by what the fast one sends early.
            processes[0].boot_rate = -WORST_RATE;
            processes[0].idle = Some(40 * S);
            processes[1].boot_rate = WORST_RATE;
            processes[1].idle = None;
        }
        if theme == Theme::Drift {
            processes[0].boot_rate = -WORST_RATE;
            processes[1].boot_rate = WORST_RATE;
        }
        if losing || theme == Theme::Drift {
            processes[0].idle = None;
            processes[1].idle = Some(random.pick(&[20, 100, 300]) * S);
        }
        let quiet = matches!(theme, Theme::Clocks | Theme::Drift | Theme::LostTime) && random.chance(700);
        // A misfortune is either absent or frequent enough to meet the others.
        let odds = |random: &mut Random, when: i64, often: i64| {
            if !quiet && random.chance(when) { often } else { 0 }
        };
        Self {
            limit: random.pick(&[1, 1, 2, 3, 5]),
            heavy: random.chance(200),
            sqlite,
            length: random.pick(&[60, 100, 200, 400]) * S,
            restless: quiet || random.chance(300),
            database_rate,
            processes,
            odds: Odds {
                commit_fails: odds(random, 300, 80),
                ack_lost: odds(random, 300, 120),
                notice: odds(random, 200, 80),
                slow_commit: odds(random, 250, 100),
                slow_lock: odds(random, 300, 150),
                rough_reading: odds(random, 300, 300),
                slow_reading: if theme == Theme::Newcomers { 250 } else { odds(random, 250, 60) },
                frozen: if losing {
                    random.pick(&[20, 60, 150])
                } else {
                    odds(random, 300, if sqlite { 0 } else { 40 })
                },
                late_look: if losing { 600 } else { 150 },
                late_poll: odds(random, 300, 150),
                suspended: odds(random, 200, 60),
                unanswered: if theme == Theme::Clocks || losing { 400 } else { odds(random, 600, 300) },
                gateway: odds(random, 250, 150),
                unauthorized: odds(random, 200, 200),
                recorded_again: odds(random, 300, 250),
                recorded_late: if theme == Theme::OldOutcomes { 500 } else { odds(random, 250, 200) },
            },
            steps: (theme == Theme::Drift || !sqlite && !quiet && random.chance(500))
                .then(|| random.pick(&[3, 10, 40]) * S),
            sleeper: (losing || theme == Theme::Drift).then_some(1),
            crashes: (theme == Theme::Newcomers || !quiet && random.chance(300))
                .then(|| random.pick(&[3, 10, 30]) * S),
            failovers: (!quiet && random.chance(200)).then(|| random.pick(&[15, 40]) * S),
        }
    }

    /// Whether this process crashes now and then: one that is to sleep through something must not.
    pub(super) fn crashes(&self, process: usize) -> bool {
        self.sleeper != Some(process)
    }
}

/// A step of the database's clock, ns.
pub(super) fn step(random: &mut Random) -> i64 {
    let size = random.pick(&[5, 20, 45, 90, 500, 2000, 9900, 15_000, 60_000]) * MS;
    if random.chance(350) { -size } else { size }
}
