//! The whole server from outside: its program, its sockets, its store. One binary, so that
//! it is linked once.

mod blind;
mod boards;
mod caddy;
mod game;
mod gate;
mod hostile_client;
mod neighbours;
mod operations;
mod personas;
mod profiles;
mod reconnect;
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod seance;
mod seance_gate;
mod seance_hostile;
mod seance_seats;
mod seance_slow;
mod seance_two_servers;
mod seance_weeks;
mod slow_client;
mod support;
mod table;
mod table_faults;
mod table_people;
mod tongues;
mod two_servers;
mod two_servers_behind_caddy;
