//! Leaderboards: what is kept of finished games, and how sure one can be of it.

use std::fmt;

use sha2::{Digest, Sha256};

/// The 97.5 % quantile of the normal distribution: intervals hold 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// What somebody did: people and machines who were questioned have boards of their own, and
/// so have those who judged them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A person who was a witness.
    Person,
    /// A machine that was a witness.
    Bot,
    /// Whoever said who is human, people and the AI alike.
    Judge,
}

impl Kind {
    /// The name in the store, which is never changed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Bot => "bot",
            Self::Judge => "judge",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Under which id a person's results are kept: a hash of the session's key, which is itself
/// the hash of what the browser holds, so that no board names a session.
pub fn person_id(key: &str) -> String {
    let digest = Sha256::new_with_prefix(b"parlour board\n").chain_update(key);
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What one game brought one player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub kind: Kind,
    /// The same in every game of that player: [`person_id`], a machine's name.
    pub id: String,
    /// As shown; the newest one is kept.
    pub name: String,
    pub won: bool,
    /// Small enough that no number of games overflows the sums.
    pub points: i16,
}

/// All games of one player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub id: String,
    pub name: String,
    /// At least 1.
    pub games: u64,
    pub wins: u64,
    /// Sum of the points.
    pub points: i64,
    /// Sum of the points' squares.
    pub squares: u64,
}

/// What lies between two bounds with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Standing {
    /// Share of games won, 0 to 1.
    pub fn win_rate(&self) -> f64 {
        self.wins as f64 / self.games as f64
    }

    /// Wilson's score interval of the share of wins (E. B. Wilson, 1927, "Probable
    /// inference, the law of succession, and statistical inference"):
    /// (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    pub fn win_interval(&self) -> Interval {
        let (n, p) = (self.games as f64, self.win_rate());
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + Z * Z / n;
        Interval {
            low: ((middle - half) / whole).max(0.0),
            high: ((middle + half) / whole).min(1.0),
        }
    }

    /// Mean points of a game.
    pub fn mean(&self) -> f64 {
        self.points as f64 / self.games as f64
    }

    /// Student's interval of the mean points, mean ± t s/√n with s² = (Σx² − (Σx)²/n)/(n−1);
    /// none after a single game.
    pub fn mean_interval(&self) -> Option<Interval> {
        let freedom = self.games.checked_sub(1).filter(|&freedom| freedom > 0)?;
        let n = self.games as f64;
        let spread = self.squares as f64 - (self.points as f64).powi(2) / n;
        let variance = spread.max(0.0) / freedom as f64;
        let half = student(freedom) * (variance / n).sqrt();
        Some(Interval {
            low: self.mean() - half,
            high: self.mean() + half,
        })
    }

    /// What the board is ordered by, greatest first: the lower end of [`Self::win_interval`]
    /// in billionths, so that one lucky game does not lead and both homes agree on ties.
    pub(super) fn rank(&self) -> i64 {
        if self.wins == 0 {
            return 0;
        }
        (self.win_interval().low * 1e9).round() as i64
    }
}

/// The 97.5 % quantile of Student's t: exact for one and two degrees of freedom, else
/// Abramowitz and Stegun 26.7.5 to the third order, within 1 %.
fn student(freedom: u64) -> f64 {
    match freedom {
        1 => 12.706_204_736,
        2 => 4.302_652_730,
        _ => {
            let d = freedom as f64;
            let (z, z2) = (Z, Z * Z);
            let first = (z2 + 1.0) * z / 4.0;
            let second = ((5.0 * z2 + 16.0) * z2 + 3.0) * z / 96.0;
            let third = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) * z / 384.0;
            z + first / d + second / (d * d) + third / (d * d * d)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(games: u64, wins: u64, points: i64, squares: u64) -> Standing {
        Standing {
            id: "a".into(),
            name: "A".into(),
            games,
            wins,
            points,
            squares,
        }
    }

    fn near(a: f64, b: f64, within: f64) -> bool {
        (a - b).abs() <= within
    }

    /// Published values of the quantile (any table of Student's t).
    #[test]
    fn students_quantile_is_within_a_hundredth_of_the_tables() {
        let table = [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (10, 2.228),
            (30, 2.042),
            (1_000_000, 1.960),
        ];
        for (freedom, exact) in table {
            let computed = student(freedom);
            assert!(near(computed / exact, 1.0, 0.01), "{freedom}: {computed}");
        }
    }

    /// Worked by hand: 8 of 10 gives 0.4902 to 0.9433.
    #[test]
    fn wilsons_interval_is_the_published_one_and_stays_within_0_and_1() {
        let Interval { low, high } = standing(10, 8, 0, 0).win_interval();
        assert!(
            near(low, 0.4902, 1e-4) && near(high, 0.9433, 1e-4),
            "{low} {high}"
        );
        for (games, wins) in [(1, 0), (1, 1), (1_000_000, 1_000_000), (7, 0)] {
            let Interval { low, high } = standing(games, wins, 0, 0).win_interval();
            assert!(0.0 <= low && low < high && high <= 1.0, "{low} {high}");
        }
    }

    #[test]
    fn the_mean_of_one_game_has_no_interval_and_that_of_equal_games_no_width() {
        assert_eq!(standing(1, 1, 5, 25).mean_interval(), None);
        let equal = standing(4, 0, 20, 100).mean_interval();
        assert_eq!(
            equal,
            Some(Interval {
                low: 5.0,
                high: 5.0
            })
        );
        // 1, 2, 3: mean 2, s = 1, t(2) / √3 = 2.484.
        let Interval { low, high } = standing(3, 0, 6, 14).mean_interval().unwrap();
        assert!(near(low, 2.0 - 2.484, 1e-3) && near(high, 2.0 + 2.484, 1e-3));
    }

    #[test]
    fn a_person_is_the_same_in_every_game_and_no_board_names_the_session() {
        let (ada, bob) = (person_id("ada's key"), person_id("bob's key"));
        assert_eq!(ada, person_id("ada's key"));
        assert!(ada != bob && ada.len() == 64 && !ada.contains("key"));
        // A key is a hash itself: hashing it as it was hashed must not give the id.
        assert_ne!(format!("{:?}", Sha256::digest(b"k")), person_id("k"));
    }

    #[test]
    fn one_lucky_game_does_not_lead_the_board() {
        let lucky = standing(1, 1, 0, 0).rank();
        let proven = standing(50, 40, 0, 0).rank();
        assert!(proven > lucky && lucky > standing(9, 0, 0, 0).rank());
    }
}
