//! The whole server from outside: its program, its sockets, its store. One binary, so that
//! it is linked once.

mod blind;
mod boards;
mod caddy;
mod game;
mod hostile_client;
mod operations;
mod personas;
mod reconnect;
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod slow_client;
mod support;
mod table;
mod table_faults;
mod table_people;
mod two_servers;
mod two_servers_behind_caddy;
