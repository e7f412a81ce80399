//! Workers on several machines over a real Redis: real processes, killed, hung, cut off,
//! forgotten and upgraded. One binary, so that it is linked once.

mod chaos;
mod failures;
mod outages;
mod played;
mod service;
mod support;
mod versions;
mod words;
mod worker;
