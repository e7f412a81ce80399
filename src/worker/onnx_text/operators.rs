//! The house's own operators, as the runtime calls them.
//!
//! They do what decides about speed on a CPU: linear layers over the blocks of the GGUF
//! file, attention over a ragged batch, adapters. The computing itself is in `kernels`;
//! here tensors become slices and back, and the runtime's threads become a team.

use ort::{
    operator::{
        BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput,
        OperatorOutput,
    },
    value::{PrimitiveTensorElementType, TensorElementType, ValueRef},
};

use super::state::{Shared, State};
use crate::{
    models::import::{
        self,
        house::{self, Site, attribute},
        packed::Layout,
    },
    worker::kernels::{
        Team,
        attention::{Layer, attend},
        linear::{Activation, Input, Packed, linear},
        rows,
    },
};

/// All operators, over one engine's state.
pub(super) fn domain(shared: &Shared, threads: usize) -> ort::Result<OperatorDomain> {
    let house = House {
        shared: shared.clone(),
        threads,
    };
    OperatorDomain::new(house::DOMAIN)?
        .add(Embed)?
        .add(Linear(house.clone()))?
        .add(Attend(house.clone()))?
        .add(Adapt(house.clone()))?
        .add(QuantizeRows(house.clone()))?
        .add(Rescale(house))
}

/// What every operator is made with.
#[derive(Clone)]
struct House {
    shared: Shared,
    threads: usize,
}

impl House {
    fn team<'a>(&self, context: &'a ComputeContext) -> RuntimeTeam<'a> {
        RuntimeTeam {
            context,
            threads: self.threads,
        }
    }
}

/// The runtime's own threads.
struct RuntimeTeam<'a> {
    context: &'a ComputeContext,
    threads: usize,
}

impl Team for RuntimeTeam<'_> {
    fn members(&self) -> usize {
        self.threads
    }

    fn split(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        if parts <= 1 || self.threads <= 1 {
            (0..parts).for_each(work);
            return;
        }
        self.context
            .par_for(parts, parts, work)
            .expect("the runtime's threads live as long as the run that asks them");
    }
}

fn missing(what: &str) -> ort::Error {
    ort::Error::new(format!("{what} is missing"))
}

fn input<'a>(context: &'a ComputeContext, index: usize) -> ort::Result<ValueRef<'a>> {
    context
        .input(index)?
        .ok_or_else(|| missing(&format!("input {index}")))
}

fn numbers<'a, T: PrimitiveTensorElementType>(value: &'a ValueRef<'_>) -> ort::Result<&'a [T]> {
    Ok(value.try_extract_tensor::<T>()?.1)
}

/// Fills an output of `[rows, columns]`.
fn give<T: PrimitiveTensorElementType>(
    context: &ComputeContext,
    index: usize,
    [rows, columns]: [usize; 2],
    fill: impl FnOnce(&mut [T]) -> ort::Result<()>,
) -> ort::Result<()> {
    let shape = [rows as i64, columns as i64];
    let mut value = context
        .output(index, shape)?
        .ok_or_else(|| missing(&format!("output {index}")))?;
    fill(value.try_extract_tensor_mut::<T>()?.1)
}

/// An integer attribute that counts something.
fn size(node: &KernelContext<'_>, name: &str) -> ort::Result<usize> {
    node.get::<i64>(name)
        .and_then(|value| usize::try_from(value).ok())
        .ok_or_else(|| missing(name))
}

/// How a node's weights are to be read.
#[derive(Clone, Copy)]
struct Weights {
    layout: Layout,
    inputs: usize,
    outputs: usize,
}

impl Weights {
    fn of(node: &KernelContext<'_>) -> ort::Result<Self> {
        let layout = node
            .get::<String>(attribute::LAYOUT)
            .and_then(|name| Layout::of(&name))
            .ok_or_else(|| missing(attribute::LAYOUT))?;
        Ok(Self {
            layout,
            inputs: size(node, attribute::INPUTS)?,
            outputs: size(node, attribute::OUTPUTS)?,
        })
    }

    fn packed<'a>(&self, bytes: &'a [u8]) -> ort::Result<Packed<'a>> {
        Packed::new(bytes, self.layout, self.inputs, self.outputs)
            .map_err(|error| ort::Error::new(error.to_string()))
    }
}

/// Where in the model a node stands, if adapters can speak there.
#[derive(Clone, Copy)]
struct Spot {
    layer: usize,
    site: Site,
}

impl Spot {
    fn of(node: &KernelContext<'_>) -> ort::Result<Option<Self>> {
        let Some(code) = node.get::<i64>(attribute::SITE) else {
            return Ok(None);
        };
        let site = Site::from_code(code).ok_or_else(|| missing(attribute::SITE))?;
        let layer = size(node, attribute::LAYER)?;
        Ok(Some(Self { layer, site }))
    }

    fn adapted(&self, state: &State) -> bool {
        let targets = self.site.targets();
        let speaks = |target| state.bank.speaks(self.layer, target, &state.adapters);
        targets.iter().copied().any(speaks)
    }

    /// Adds what the adapters of the batch's tokens say about `input`.
    fn adapt(&self, state: &State, input: &[f32], output: &mut [f32], team: &dyn Team) {
        state.bank.add_all(
            self.layer,
            self.site.targets(),
            &state.adapters,
            input,
            output,
            team,
        );
    }
}

/// [`house::EMBED`]
struct Embed;

impl Operator for Embed {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        house::EMBED
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(TensorElementType::Int64),
            OperatorInput::required(TensorElementType::Uint8),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(
        &self,
        node: &KernelContext<'attr>,
    ) -> ort::Result<Self::Kernel<'attr>> {
        let weights = Weights::of(node)?;
        Ok(Box::new(move |context: &ComputeContext| {
            let (ids, bytes) = (input(context, 0)?, input(context, 1)?);
            let (ids, packed) = (
                numbers::<i64>(&ids)?,
                weights.packed(numbers::<u8>(&bytes)?)?,
            );
            give::<f32>(context, 0, [ids.len(), weights.inputs], |output| {
                for (id, row) in ids.iter().zip(output.chunks_exact_mut(weights.inputs)) {
                    let token = usize::try_from(*id)
                        .ok()
                        .filter(|token| *token < weights.outputs)
                        .ok_or_else(|| ort::Error::new(format!("there is no token {id}")))?;
                    packed.row(token, row);
                }
                Ok(())
            })
        }))
    }
}

/// [`house::LINEAR`]
struct Linear(House);

impl Operator for Linear {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        house::LINEAR
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(TensorElementType::Float32),
            OperatorInput::required(TensorElementType::Uint8),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(
        &self,
        node: &KernelContext<'attr>,
    ) -> ort::Result<Self::Kernel<'attr>> {
        let house = self.0.clone();
        let (weights, spot) = (Weights::of(node)?, Spot::of(node)?);
        let gated = node.get::<i64>(attribute::GATED).is_some_and(|it| it != 0);
        let code = node.get::<i64>(attribute::ACTIVATION).unwrap_or_default();
        let activation = match house::activation_from_code(code) {
            Some(import::Activation::Silu) => Activation::Silu,
            Some(import::Activation::GeluTanh) => Activation::GeluTanh,
            None => return Err(missing(attribute::ACTIVATION)),
        };
        Ok(Box::new(move |context: &ComputeContext| {
            let (values, bytes) = (input(context, 0)?, input(context, 1)?);
            let values = numbers::<f32>(&values)?;
            let packed = weights.packed(numbers::<u8>(&bytes)?)?;
            let team = house.team(context);
            let width = weights.inputs * if gated { 2 } else { 1 };
            let rows = values.len() / width;
            give::<f32>(context, 0, [rows, weights.outputs], |output| {
                let source = match gated {
                    false => Input::Plain(values),
                    true => Input::Gated {
                        gate_up: values,
                        activation,
                    },
                };
                linear(&packed, source, rows, output, &team);
                let Some(spot) = spot else { return Ok(()) };
                let state = house.shared.read();
                if !spot.adapted(&state) {
                    return Ok(());
                }
                if gated {
                    let inner = rows::gated(values, weights.inputs, activation);
                    spot.adapt(&state, &inner, output, &team);
                } else {
                    spot.adapt(&state, values, output, &team);
                }
                Ok(())
            })
        }))
    }
}

/// [`house::ATTEND`]
struct Attend(House);

impl Operator for Attend {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        house::ATTEND
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(
        &self,
        node: &KernelContext<'attr>,
    ) -> ort::Result<Self::Kernel<'attr>> {
        let house = self.0.clone();
        let layer = size(node, attribute::LAYER)?;
        Ok(Box::new(move |context: &ComputeContext| {
            let qkv = input(context, 0)?;
            let qkv = numbers::<f32>(&qkv)?;
            let team = house.team(context);
            let state = house.shared.read();
            let (heads, rotary) = state
                .attention(layer)
                .ok_or_else(|| missing(attribute::LAYER))?;
            let State { kv, places, .. } = &*state;
            let columns = (heads.heads + 2 * heads.kv_heads) * heads.head_dim;
            if qkv.len() != places.len() * columns {
                return Err(ort::Error::new("the batch has another number of tokens"));
            }
            let width = heads.heads * heads.head_dim;
            give::<f32>(context, 0, [places.len(), width], |output| {
                let layer = Layer {
                    heads,
                    rotary,
                    store: kv,
                    index: layer,
                };
                attend(&layer, places, qkv, output, &team);
                Ok(())
            })
        }))
    }
}

/// [`house::ADAPT`]
struct Adapt(House);

impl Operator for Adapt {
    type Kernel<'attr> = BoxedKernel<'attr>;

    /// The layer's own result becomes the sum, where the runtime can spare it.
    const INPLACES: &[(u32, u32)] = &[(1, 0)];

    fn name(&self) -> &str {
        house::ADAPT
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(TensorElementType::Float32),
            OperatorInput::required(TensorElementType::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(
        &self,
        node: &KernelContext<'attr>,
    ) -> ort::Result<Self::Kernel<'attr>> {
        let house = self.0.clone();
        let spot = Spot::of(node)?.ok_or_else(|| missing(attribute::SITE))?;
        Ok(Box::new(move |context: &ComputeContext| {
            let (values, base) = (input(context, 0)?, input(context, 1)?);
            let (values, base) = (numbers::<f32>(&values)?, numbers::<f32>(&base)?);
            let team = house.team(context);
            let state = house.shared.read();
            let tokens = state.places.len();
            if tokens == 0 || base.len() % tokens != 0 {
                return Err(ort::Error::new("the batch has another number of tokens"));
            }
            let from = base.as_ptr();
            give::<f32>(context, 0, [tokens, base.len() / tokens], |output| {
                // In place the two are one, and nothing is to be copied.
                if !std::ptr::eq(from, output.as_ptr()) {
                    output.copy_from_slice(base);
                }
                if spot.adapted(&state) {
                    spot.adapt(&state, values, output, &team);
                }
                Ok(())
            })
        }))
    }
}

/// [`house::QUANTIZE`]
struct QuantizeRows(House);

impl Operator for QuantizeRows {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        house::QUANTIZE
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [
            OperatorOutput::required(TensorElementType::Uint8),
            OperatorOutput::required(TensorElementType::Float32),
        ]
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let house = self.0.clone();
        Ok(Box::new(move |context: &ComputeContext| {
            let value = input(context, 0)?;
            let (shape, values) = value.try_extract_tensor::<f32>()?;
            let columns = last_dimension(shape)?;
            let count = values.len() / columns;
            let team = house.team(context);
            give::<u8>(context, 0, [count, columns], |bytes| {
                give::<f32>(context, 1, [count, 1], |scales| {
                    rows::quantize(values, columns, bytes, scales, &team);
                    Ok(())
                })
            })
        }))
    }
}

/// [`house::RESCALE`]
struct Rescale(House);

impl Operator for Rescale {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        house::RESCALE
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(TensorElementType::Int32),
            OperatorInput::required(TensorElementType::Float32),
            OperatorInput::required(TensorElementType::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let house = self.0.clone();
        Ok(Box::new(move |context: &ComputeContext| {
            let (sums, rows_scales, column_scales) =
                (input(context, 0)?, input(context, 1)?, input(context, 2)?);
            let (sums, row_scales, column_scales) = (
                numbers::<i32>(&sums)?,
                numbers::<f32>(&rows_scales)?,
                numbers::<f32>(&column_scales)?,
            );
            if sums.len() != row_scales.len() * column_scales.len() {
                return Err(ort::Error::new("sums and scales do not belong together"));
            }
            let team = house.team(context);
            give::<f32>(
                context,
                0,
                [row_scales.len(), column_scales.len()],
                |output| {
                    rows::rescale(sums, row_scales, column_scales, output, &team);
                    Ok(())
                },
            )
        }))
    }
}

fn last_dimension(shape: &[i64]) -> ort::Result<usize> {
    shape
        .last()
        .and_then(|size| usize::try_from(*size).ok())
        .filter(|size| *size > 0)
        .ok_or_else(|| ort::Error::new("rows of no length"))
}
