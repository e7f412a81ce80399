//! The scripts that do each call in one step, inside the server.

/// A script and what it is loaded from.
macro_rules! scripts {
    ($($name:ident = $file:literal),* $(,)?) => {
        /// Which script a call runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Script {
            $($name),*
        }

        /// Their texts, in the order of [`Script`].
        pub(super) const SOURCES: &[&str] = &[
            $(concat!(include_str!("lua/common.lua"), include_str!(concat!("lua/", $file)))),*
        ];
    };
}

scripts! {
    Create = "create.lua",
    Append = "append.lua",
    Read = "read.lua",
    Snapshot = "snapshot.lua",
    PutSnapshot = "put_snapshot.lua",
    Trim = "trim.lua",
    Close = "close.lua",
    List = "list.lua",
    ForgetRoom = "forget_room.lua",
    PutSession = "put_session.lua",
    Session = "session.lua",
    ForgetSession = "forget_session.lua",
    Acquire = "acquire.lua",
    Renew = "renew.lua",
    Ask = "ask.lua",
    Release = "release.lua",
    Holder = "holder.lua",
    Vacant = "vacant.lua",
    AddResults = "add_results.lua",
    Top = "top.lua",
    ForgetPlayer = "forget_player.lua",
    Probe = "probe.lua",
    Arrive = "arrive.lua",
    LeaveWord = "leave_word.lua",
    Words = "words.lua",
    ListTables = "list_tables.lua",
    Tables = "tables.lua",
}

impl Script {
    /// Whether it may change something.
    pub(super) fn writes(self) -> bool {
        !matches!(
            self,
            Self::Read
                | Self::Snapshot
                | Self::List
                | Self::Session
                | Self::Holder
                | Self::Vacant
                | Self::Top
                | Self::Words
                | Self::Tables
        )
    }
}
