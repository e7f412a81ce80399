//! What must happen in Redis at once or not at all, in Lua, and the names of the keys.
//!
//! A worker writes under a fence: the group must say that the job is its own, in this attempt.
//! Whoever was taken for dead finds its claim gone and changes nothing any more. The scripts
//! make names of keys from others, which Redis Cluster does not allow; the fleet wants one
//! Redis (or one with replicas).

/// Consumer group of all workers.
pub(super) const GROUP: &str = "workers";

/// Consumer that jobs are given to that nobody has.
pub(super) const NOBODY: &str = "nobody";

/// Field of a job's entry.
pub(super) const JOB: &str = "job";
/// Field of a job's entry: milliseconds of Redis' clock.
pub(super) const DEADLINE: &str = "deadline";
/// Field of an answer's entry.
pub(super) const ANSWER: &str = "answer";
/// Field of an entry beside the answers: jobs that Redis does not hold any more, as JSON of
/// their version and entries. All answers to them stand before it.
pub(super) const LOST: &str = "lost";
/// Field of an entry of a worker's control stream: a job that nobody waits for any more, as
/// its stream and entry with a space between.
pub(super) const WITHDRAWN: &str = "withdrawn";

/// Names of keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// Jobs that wait or are in hand.
    pub(super) fn jobs(&self, version: u16, model: &str) -> String {
        format!("{}jobs:{version}:{model}", self.prefix)
    }

    /// Says that a job was added already.
    pub(super) fn once(&self, server: &str, number: u64) -> String {
        format!("{}job:{server}:{number}", self.prefix)
    }

    /// Answers to one server.
    pub(super) fn answers(&self, server: &str) -> String {
        format!("{}answers:{server}", self.prefix)
    }

    /// What one worker is told, without its name.
    pub(super) fn control_prefix(&self) -> String {
        format!("{}control:", self.prefix)
    }

    /// What one worker is told.
    pub(super) fn control(&self, worker: &str) -> String {
        self.control_prefix() + worker
    }

    /// Names of workers by the time until which they are believed.
    pub(super) fn workers(&self) -> String {
        format!("{}workers", self.prefix)
    }

    /// A worker's card, without its name.
    pub(super) fn card_prefix(&self) -> String {
        format!("{}worker:", self.prefix)
    }
}

/// Every script; its place in [`SOURCES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// Adds a job once, if not too many wait. Keys: jobs, once. Arguments: the job, its time
    /// in ms, how many may wait, its version. Gives its version and entry with a space
    /// between, or none, and how many wait.
    Submit,
    /// Takes a job back. Keys: jobs, once. Arguments: the entry, the prefix of control
    /// streams, `waiting` for one that must not have been taken. Gives 1 if it is gone.
    Withdraw,
    /// How a delivered job stands. Keys: jobs. Arguments: the entry, the worker. Gives its
    /// attempt and Redis' time in ms; nothing if it is another's.
    Begin,
    /// Says something of a job. Keys: jobs, answers, once. Arguments: entry, worker, attempt,
    /// the answer, entries that the answers keep, their life in ms, `last` for the last word.
    /// Gives 1, or 0 if the job is another's.
    Say,
    /// Renews claims. Keys: jobs. Arguments: the worker, then entry and attempt of each.
    /// Gives the entries that are another's.
    Renew,
    /// Gives a job back. Keys: jobs. Arguments: entry, worker, attempt, the attempts that it
    /// has used up by then.
    Release,
    /// Looks for jobs that are gone, and says so behind all answers. Keys: jobs, answers.
    /// Arguments: life of the answers in ms, the version, then the entries.
    Sweep,
    /// Shows a card. Keys: workers. Arguments: prefix of cards, name, card, life in ms.
    Show,
    /// Takes a card away. Keys: workers. Arguments: prefix of cards, name, prefix of control
    /// streams.
    Leave,
    /// All cards. Keys: workers. Arguments: prefix of cards.
    Call,
    /// Forgets consumers that are gone. Keys: jobs. Arguments: ms of silence.
    Tidy,
}

/// Redis' time in ms, and its number as text (Lua would write it with an exponent).
macro_rules! clock {
    () => {
        "local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function text(number) return string.format('%.0f', number) end
"
    };
}

/// The attempt of a job that is the worker's own.
macro_rules! fence {
    () => {
        "local function attempt(jobs, entry, worker)
  local claim = redis.pcall('XPENDING', jobs, 'workers', entry, entry, 1)
  if claim.err or not claim[1] or claim[1][2] ~= worker then return nil end
  return claim[1][4]
end
"
    };
}

pub(super) const SOURCES: [&str; 11] = [
    concat!(
        clock!(),
        "local known = redis.call('GET', KEYS[2])
if known then return {known, 0} end
local waiting = redis.call('XLEN', KEYS[1])
local taken = redis.pcall('XPENDING', KEYS[1], 'workers')
if not taken.err then waiting = math.max(0, waiting - taken[1]) end
if waiting >= tonumber(ARGV[3]) then return {false, waiting} end
local entry = redis.call('XADD', KEYS[1], '*', 'job', ARGV[1], 'deadline', text(now() + ARGV[2]))
local place = ARGV[4] .. ' ' .. entry
redis.call('SET', KEYS[2], place, 'PX', ARGV[2])
return {place, waiting}"
    ),
    "local claim = redis.pcall('XPENDING', KEYS[1], 'workers', ARGV[1], ARGV[1], 1)
local worker = not claim.err and claim[1] and claim[1][2]
if worker and ARGV[3] == 'waiting' then return 0 end
redis.pcall('XACK', KEYS[1], 'workers', ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
if worker and worker ~= 'nobody' then
  local control = ARGV[2] .. worker
  redis.call('XADD', control, 'MAXLEN', '~', 1024, '*', 'withdrawn', KEYS[1] .. ' ' .. ARGV[1])
  redis.call('PEXPIRE', control, 60000)
end
return 1",
    concat!(
        clock!(),
        fence!(),
        "local mine = attempt(KEYS[1], ARGV[1], ARGV[2])
if not mine then return {} end
return {mine, now()}"
    ),
    concat!(
        fence!(),
        "if attempt(KEYS[1], ARGV[1], ARGV[2]) ~= tonumber(ARGV[3]) then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'answer', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if ARGV[7] == 'last' then
  redis.call('XACK', KEYS[1], 'workers', ARGV[1])
  redis.call('XDEL', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[3])
end
return 1"
    ),
    concat!(
        fence!(),
        "local lost = {}
for at = 2, #ARGV, 2 do
  if attempt(KEYS[1], ARGV[at], ARGV[1]) == tonumber(ARGV[at + 1]) then
    redis.call('XCLAIM', KEYS[1], 'workers', ARGV[1], 0, ARGV[at], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[at]
  end
end
return lost"
    ),
    concat!(
        fence!(),
        "if attempt(KEYS[1], ARGV[1], ARGV[2]) ~= tonumber(ARGV[3]) then return 0 end
redis.call('XCLAIM', KEYS[1], 'workers', 'nobody', 0, ARGV[1],
  'IDLE', 86400000, 'RETRYCOUNT', ARGV[4], 'JUSTID')
return 1"
    ),
    "local lost = {}
for at = 3, #ARGV do
  local there = redis.call('XRANGE', KEYS[1], ARGV[at], ARGV[at])
  if #there == 0 then lost[#lost + 1] = ARGV[at] end
end
if #lost > 0 then
  local what = cjson.encode({version = tonumber(ARGV[2]), entries = lost})
  redis.call('XADD', KEYS[2], '*', 'lost', what)
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return #lost",
    concat!(
        clock!(),
        "redis.call('SET', ARGV[1] .. ARGV[2], ARGV[3], 'PX', ARGV[4])
redis.call('ZADD', KEYS[1], text(now() + ARGV[4]), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now()))
return 1"
    ),
    "redis.call('DEL', ARGV[1] .. ARGV[2], ARGV[3] .. ARGV[2])
return redis.call('ZREM', KEYS[1], ARGV[2])",
    "local cards = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  cards[#cards + 1] = redis.call('GET', ARGV[1] .. name) or nil
end
return cards",
    "local found = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'workers')
if found.err then return 0 end
local gone = 0
for _, consumer in ipairs(found) do
  if consumer[4] == 0 and consumer[6] > tonumber(ARGV[1]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', consumer[2])
    gone = gone + 1
  end
end
return gone",
];
