//! Plain and slow; the fast kernel takes its place.
use super::*;
use crate::models::import::packed::Layout;
#[derive(Clone, Copy)]
pub(crate) enum Activation {
    Silu,
}
impl Activation {
    pub(crate) fn apply(self, x: f32) -> f32 {
        x / (1.0 + (-x).exp())
    }
}
pub(crate) enum Input<'a> {
    Plain(&'a [f32]),
    Gated {
        gate_up: &'a [f32],
        activation: Activation,
    },
}
pub(crate) struct Packed<'a> {
    w: Vec<f32>,
    inputs: usize,
    outputs: usize,
    _b: &'a [u8],
}
impl<'a> Packed<'a> {
    pub(crate) fn new(
        bytes: &'a [u8],
        _: Layout,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            w: bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect(),
            inputs,
            outputs,
            _b: bytes,
        })
    }
    pub(crate) fn row(&self, i: usize, into: &mut [f32]) {
        into.copy_from_slice(&self.w[i * self.inputs..][..self.inputs])
    }
}
pub(crate) fn linear(
    w: &Packed<'_>,
    input: Input<'_>,
    rows: usize,
    output: &mut [f32],
    _: &dyn Team,
) {
    let x = match input {
        Input::Plain(x) => x.to_vec(),
        Input::Gated {
            gate_up,
            activation,
        } => rows::gated(gate_up, w.inputs, activation),
    };
    for r in 0..rows {
        for o in 0..w.outputs {
            output[r * w.outputs + o] = x[r * w.inputs..][..w.inputs]
                .iter()
                .zip(&w.w[o * w.inputs..][..w.inputs])
                .map(|(a, b)| a * b)
                .sum();
        }
    }
}
