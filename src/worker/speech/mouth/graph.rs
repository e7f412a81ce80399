//! A voice's network, and how long it makes each symbol.
//!
//! Networks that plan durations keep them inside: the tensor is named among the graph's
//! outputs by a few bytes behind the file's, because protocol buffers merge a message that
//! comes in two pieces.

use std::{fs, path::Path};

use ort::session::{SessionInputs, SessionOutputs};
use prost::Message;

use super::{MouthError, stop::Stopper};
use crate::worker::speech::network::Network;

/// An open network.
pub(super) struct Graph {
    network: Network,
    /// The output that holds durations, where there is one.
    pub(super) durations: Option<String>,
}

impl Graph {
    /// Opens a graph. `durations` names the tensor that holds them, which a graph need not have.
    ///
    /// # Errors
    /// When the file or the library cannot be read or are not what they should be.
    pub(super) fn open(
        library: &Path,
        path: &Path,
        threads: usize,
        durations: Option<&str>,
        stopper: &Stopper,
    ) -> Result<Self, MouthError> {
        let unusable = |problem: String| MouthError::File {
            path: path.to_owned(),
            problem,
        };
        let mut model = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let durations = durations.filter(|name| contains(&model, name.as_bytes()));
        if let Some(name) = durations {
            model.extend(output(name));
        }
        Ok(Self {
            network: Network::open(library, &model, threads, stopper).map_err(unusable)?,
            durations: durations.map(str::to_owned),
        })
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it fails or is stopped.
    pub(super) fn run<'run, 'inputs, 'values: 'inputs, const N: usize>(
        &'run mut self,
        inputs: impl Into<SessionInputs<'inputs, 'values, N>>,
    ) -> ort::Result<SessionOutputs<'run>> {
        self.network.run(inputs)
    }
}

fn contains(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}

/// What is behind a model that has one output more. Field numbers are those of `onnx.proto`.
fn output(name: &str) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct Model {
        #[prost(message, optional, tag = "7")]
        graph: Option<GraphPart>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct GraphPart {
        #[prost(message, repeated, tag = "12")]
        output: Vec<Value>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Value {
        #[prost(string, tag = "1")]
        name: String,
    }
    let value = Value {
        name: name.to_owned(),
    };
    let graph = GraphPart {
        output: vec![value],
    };
    Model { graph: Some(graph) }.encode_to_vec()
}
