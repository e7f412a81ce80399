//! A store that takes no event of any room until it is mended.

use std::{path::PathBuf, time::Duration};

use rusqlite::Connection;
use tempfile::NamedTempFile;

use super::house::House;

/// What the server says of an event that it could not write.
const NOT_STORED: &str = "an event was not stored";

/// A house whose store can be made to fail.
pub struct Fragile {
    pub house: House,
    log: NamedTempFile,
}

/// A store that fails, until it is mended.
pub struct Fault {
    store: Connection,
    log: PathBuf,
}

impl Fragile {
    /// One with the toy model and these settings.
    pub fn open(more: &[(&str, &str)]) -> Self {
        let log = NamedTempFile::new().expect("a file");
        let file = log.reopen().expect("open");
        let mut settings = vec![("PARLOUR_MODEL", "deterministic"), ("PARLOUR_TYPING", "0")];
        settings.extend_from_slice(more);
        let house = House::open_into(&settings, Some(file));
        Self { house, log }
    }

    /// From here on nothing is written.
    pub fn fail(&self) -> Fault {
        let path = self.house.data().join("parlour.sqlite");
        let store = Connection::open(path).expect("the store");
        store
            .execute_batch(
                "CREATE TRIGGER fault BEFORE INSERT ON events
                 BEGIN SELECT RAISE(ABORT, 'a fault'); END",
            )
            .expect("a trigger");
        let log = self.log.path().to_owned();
        Fault { store, log }
    }
}

impl Fault {
    /// Waits until an event could not be written.
    pub async fn bites(&self) {
        let has_bitten = || {
            let log = std::fs::read_to_string(&self.log).expect("the log");
            log.contains(NOT_STORED)
        };
        while !has_bitten() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn mend(self) {
        let mended = self.store.execute_batch("DROP TRIGGER fault");
        mended.expect("it was there");
    }
}
