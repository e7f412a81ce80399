//! Leases in the file. Times are milliseconds since the Unix epoch by this machine's clock.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::queries::{fenced_room, millis, room, time};
use crate::store::{Fence, Lease, StoreError, lease};

pub(super) fn acquire(
    db: &Connection,
    name: &str,
    owner: &str,
    ttl: Duration,
    now: u64,
) -> Result<Lease, StoreError> {
    if let Some(held) = holder(db, name, now)?
        && held.owner != owner
    {
        return Err(StoreError::Held {
            room: name.to_owned(),
            owner: held.owner,
        });
    }
    let fence = draw(db)?;
    let ttl = lease::millis(ttl);
    db.prepare(
        "UPDATE rooms SET fence = ?2, holder = ?3, held_until = ?4, released = NULL, asked_until = NULL
         WHERE name = ?1",
    )?
    .execute(params![
        name,
        millis(fence.0),
        owner,
        millis(now.saturating_add(ttl))
    ])?;
    Ok(Lease {
        owner: owner.to_owned(),
        fence,
        remaining: Duration::from_millis(ttl),
    })
}

/// A fence that no room had before: the numbers are one row of the whole file.
fn draw(db: &Connection) -> Result<Fence, StoreError> {
    let last = db
        .prepare("UPDATE fences SET last = last + 1 RETURNING last")?
        .query_row([], |row| time(row, 0))?;
    Ok(Fence(last))
}

pub(super) fn renew(
    db: &Connection,
    name: &str,
    fence: Fence,
    ttl: Duration,
    now: u64,
) -> Result<bool, StoreError> {
    let held = fenced_room(db, name, fence)?;
    let until = now.saturating_add(lease::millis(ttl));
    let renewed = db
        .prepare(
            "UPDATE rooms SET held_until = ?2 WHERE id = ?1 AND holder IS NOT NULL
             RETURNING coalesce(asked_until, 0)",
        )?
        .query_row(params![held.id, millis(until)], |row| time(row, 0))
        .optional()?;
    // The newest fence is nobody's when the room was given back, or never taken.
    renewed
        .map(|asked_until| asked_until > now)
        .ok_or_else(|| StoreError::Fenced {
            room: name.to_owned(),
            newest: held.fence,
        })
}

pub(super) fn ask(db: &Connection, name: &str, ttl: Duration, now: u64) -> Result<(), StoreError> {
    let until = now.saturating_add(lease::millis(ttl));
    db.prepare("UPDATE rooms SET asked_until = ?2 WHERE id = ?1")?
        .execute(params![room(db, name)?.id, millis(until)])?;
    Ok(())
}

pub(super) fn vacant(db: &Connection, limit: u32, now: u64) -> Result<Vec<String>, StoreError> {
    let names = db
        .prepare(
            "SELECT name FROM rooms
             WHERE closed_at IS NULL AND fence > 0 AND coalesce(held_until, 0) <= ?1
             ORDER BY id LIMIT ?2",
        )?
        .query_map(params![millis(now), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(names)
}

/// Draws a new fence for every room that is held, as giving it back does.
pub(super) fn end_all(db: &Connection) -> Result<(), StoreError> {
    let fence = draw(db)?;
    db.prepare(
        "UPDATE rooms SET fence = ?1, holder = NULL, held_until = NULL WHERE holder IS NOT NULL",
    )?
    .execute([millis(fence.0)])?;
    Ok(())
}

pub(super) fn release(db: &Connection, name: &str, fence: Fence) -> Result<(), StoreError> {
    let id = room(db, name)?.id;
    let before: Option<i64> = db
        .prepare("SELECT released FROM rooms WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    if before == Some(millis(fence.0)) {
        return Ok(());
    }
    let held = fenced_room(db, name, fence)?;
    if held.fence == Fence::UNLEASED {
        return Ok(());
    }
    let next = draw(db)?;
    db.prepare(
        "UPDATE rooms SET fence = ?2, released = ?3, holder = NULL, held_until = NULL WHERE id = ?1",
    )?
    .execute(params![held.id, millis(next.0), millis(fence.0)])?;
    Ok(())
}

pub(super) fn holder(db: &Connection, name: &str, now: u64) -> Result<Option<Lease>, StoreError> {
    let held = room(db, name)?;
    let (owner, until) = db
        .prepare("SELECT holder, coalesce(held_until, 0) FROM rooms WHERE id = ?1")?
        .query_row([held.id], |row| {
            Ok((row.get::<_, Option<String>>(0)?, time(row, 1)?))
        })?;
    let remaining = Duration::from_millis(until.saturating_sub(now));
    Ok(owner.filter(|_| !remaining.is_zero()).map(|owner| Lease {
        owner,
        fence: held.fence,
        remaining,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{Options, queries, schema};

    const TTL: Duration = Duration::from_millis(100);

    fn with_a_room(law: impl FnOnce(&Connection)) {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::connect(&folder.path().join("db"), Options::default()).unwrap();
        queries::create(&db, "r", 0).unwrap();
        law(&db);
    }

    #[test]
    fn a_lease_runs_out_at_its_instant_and_not_before() {
        with_a_room(|db| {
            let first = acquire(db, "r", "a", TTL, 1000).unwrap();
            assert!(matches!(
                acquire(db, "r", "b", TTL, 1099),
                Err(StoreError::Held { .. })
            ));
            assert_eq!(
                holder(db, "r", 1099).unwrap().unwrap().remaining,
                Duration::from_millis(1)
            );
            assert_eq!(holder(db, "r", 1100).unwrap(), None);
            let second = acquire(db, "r", "b", TTL, 1100).unwrap();
            assert!(second.fence > first.fence);
        });
    }

    #[test]
    fn a_clock_that_jumps_back_never_gives_a_room_to_two() {
        with_a_room(|db| {
            let first = acquire(db, "r", "a", TTL, 1_000_000).unwrap();
            assert!(matches!(
                acquire(db, "r", "b", TTL, 5),
                Err(StoreError::Held { .. })
            ));
            let again = acquire(db, "r", "a", TTL, 5).unwrap();
            assert!(again.fence > first.fence);
            assert!(fenced_room(db, "r", first.fence).is_err());
        });
    }
}
