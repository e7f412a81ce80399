//! The generation process: it holds the models and nothing else. No rooms, no store.

pub mod engine;
pub mod onnx_text;
