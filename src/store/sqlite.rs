//! The embedded home of the store contract.
