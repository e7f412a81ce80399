//! Leaderboards in the file.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::queries::{millis, room, time};
use crate::store::{
    StoreError,
    board::{Kind, Outcome, Standing},
};

pub(super) fn add(
    db: &Connection,
    name: &str,
    game: u32,
    outcomes: &[Outcome],
) -> Result<bool, StoreError> {
    let id = room(db, name)?.id;
    let first = db
        .prepare("INSERT OR IGNORE INTO counted (room, game) VALUES (?1, ?2)")?
        .execute(params![id, game])?;
    if first == 0 {
        return Ok(false);
    }
    for outcome in outcomes {
        let standing = after(db, outcome)?;
        db.prepare(
            "INSERT OR REPLACE INTO board (kind, id, name, games, wins, points, squares, rank)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            outcome.kind.name(),
            standing.id,
            standing.name,
            millis(standing.games),
            millis(standing.wins),
            standing.points,
            millis(standing.squares),
            standing.rank()
        ])?;
    }
    Ok(true)
}

/// How the player stands with this outcome.
fn after(db: &Connection, outcome: &Outcome) -> Result<Standing, StoreError> {
    let before = db
        .prepare(
            "SELECT id, name, games, wins, points, squares FROM board WHERE kind = ?1 AND id = ?2",
        )?
        .query_row(params![outcome.kind.name(), outcome.id], standing)
        .optional()?;
    let (games, wins, points, squares) = before.map_or((0, 0, 0, 0), |before| {
        (before.games, before.wins, before.points, before.squares)
    });
    let scored = i64::from(outcome.points);
    Ok(Standing {
        id: outcome.id.clone(),
        name: outcome.name.clone(),
        games: games + 1,
        wins: wins + u64::from(outcome.won),
        points: points + scored,
        squares: squares + scored.unsigned_abs().pow(2),
    })
}

pub(super) fn top(db: &Connection, kind: Kind, limit: u32) -> Result<Vec<Standing>, StoreError> {
    let best = db
        .prepare(
            "SELECT id, name, games, wins, points, squares FROM board
             WHERE kind = ?1 ORDER BY rank DESC, id LIMIT ?2",
        )?
        .query_map(params![kind.name(), limit], standing)?
        .collect::<Result<_, _>>()?;
    Ok(best)
}

pub(super) fn forget(db: &Connection, kind: Kind, id: &str) -> Result<bool, StoreError> {
    let gone = db
        .prepare("DELETE FROM board WHERE kind = ?1 AND id = ?2")?
        .execute(params![kind.name(), id])?;
    Ok(gone > 0)
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing {
        id: row.get(0)?,
        name: row.get(1)?,
        games: time(row, 2)?,
        wins: time(row, 3)?,
        points: row.get(4)?,
        squares: time(row, 5)?,
    })
}
