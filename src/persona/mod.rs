//! persona
