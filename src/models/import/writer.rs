//! Collects a graph's nodes and writes its weights beside it, in order, so that the
//! same input gives the same bytes.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use half::{bf16, f16};

use super::{
    Element,
    onnx::{
        AttributeProto, DimensionProto, EXTERNAL, GraphProto, NodeProto, StringStringEntryProto,
        TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto, attribute_type,
        data_type,
    },
};
use crate::models::ModelError;

/// The operators of the runtime's own domain.
pub(in crate::models) const MICROSOFT: &str = "com.microsoft";
/// Where each weight starts in the file: on a page, so that it can be mapped.
const ALIGNMENT: u64 = 4096;

/// A node's attribute.
#[derive(Clone, Copy)]
pub(in crate::models) enum Attribute {
    Int(i64),
    Float(f32),
    Text(&'static str),
    Ints(&'static [i64]),
}

/// One dimension of an input or output.
pub(in crate::models) enum Dimension {
    Fixed(usize),
    Named(&'static str),
}

/// Where a tensor's bytes lie in the weights file.
#[derive(Clone, Copy)]
pub(in crate::models) struct Stored {
    offset: u64,
    length: u64,
}

/// A graph in the making.
pub(in crate::models) struct GraphWriter {
    element: Element,
    graph: GraphProto,
    weights: BufWriter<File>,
    weights_name: String,
    written: u64,
}

impl GraphWriter {
    /// Starts a graph whose weights go to the file `weights_name` in `folder`.
    pub(in crate::models) fn create(
        folder: &Path,
        weights_name: &str,
        element: Element,
    ) -> Result<Self, ModelError> {
        let path = folder.join(weights_name);
        let file = File::create(&path).map_err(|error| ModelError::io(&path, error))?;
        Ok(Self {
            element,
            graph: GraphProto {
                name: Some("parlour".into()),
                ..GraphProto::default()
            },
            weights: BufWriter::with_capacity(1 << 20, file),
            weights_name: weights_name.into(),
            written: 0,
        })
    }

    /// Adds a node; its name is that of its first output.
    pub(in crate::models) fn node(
        &mut self,
        domain: &str,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.graph.node.push(NodeProto {
            input: owned(inputs),
            output: owned(outputs),
            name: outputs.first().map(|&name| name.to_owned()),
            op_type: Some(operator.to_owned()),
            domain: Some(domain.to_owned()),
            attribute: attributes
                .iter()
                .map(|(name, value)| attribute(name, value))
                .collect(),
        });
    }

    pub(in crate::models) fn input(&mut self, name: &str, kind: i32, dimensions: &[Dimension]) {
        self.graph.input.push(value_info(name, kind, dimensions));
    }

    pub(in crate::models) fn output(&mut self, name: &str, kind: i32, dimensions: &[Dimension]) {
        self.graph.output.push(value_info(name, kind, dimensions));
    }

    /// A small tensor that stands in the graph itself.
    pub(in crate::models) fn inline(
        &mut self,
        name: &str,
        kind: i32,
        dims: &[usize],
        raw_data: Vec<u8>,
    ) {
        self.graph.initializer.push(TensorProto {
            raw_data: Some(raw_data),
            ..tensor(name, kind, dims)
        });
    }

    /// [`Self::inline`] for floats.
    pub(in crate::models) fn inline_floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let bytes = self.float_bytes(values);
        self.inline(name, self.float_type(), dims, bytes);
    }

    /// The type of all the graph's floats.
    pub(in crate::models) fn float_type(&self) -> i32 {
        match self.element {
            Element::Fp32 => data_type::FLOAT,
            Element::Fp16 => data_type::FLOAT16,
            Element::Bf16 => data_type::BFLOAT16,
        }
    }

    /// Numbers as [`Self::float_type`] has them, little-endian.
    pub(in crate::models) fn float_bytes(&self, values: &[f32]) -> Vec<u8> {
        match self.element {
            Element::Fp32 => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Element::Fp16 => values
                .iter()
                .flat_map(|it| f16::from_f32(*it).to_le_bytes())
                .collect(),
            Element::Bf16 => values
                .iter()
                .flat_map(|it| bf16::from_f32(*it).to_le_bytes())
                .collect(),
        }
    }

    /// Writes bytes to the weights file.
    pub(in crate::models) fn store(&mut self, bytes: &[u8]) -> Result<Stored, ModelError> {
        let offset = self.written.next_multiple_of(ALIGNMENT);
        let padding = vec![0; (offset - self.written) as usize];
        self.weights
            .write_all(&padding)
            .and_then(|()| self.weights.write_all(bytes))
            .map_err(|error| ModelError::io(Path::new(&self.weights_name), error))?;
        let length = bytes.len() as u64;
        self.written = offset + length;
        Ok(Stored { offset, length })
    }

    /// A tensor over stored bytes; several may share them.
    pub(in crate::models) fn external(
        &mut self,
        name: &str,
        kind: i32,
        dims: &[usize],
        stored: Stored,
    ) {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
        };
        self.graph.initializer.push(TensorProto {
            external_data: vec![
                entry("location", self.weights_name.clone()),
                entry("offset", stored.offset.to_string()),
                entry("length", stored.length.to_string()),
            ],
            data_location: Some(EXTERNAL),
            ..tensor(name, kind, dims)
        });
    }

    /// The finished graph; its weights are on the disk.
    pub(in crate::models) fn finish(mut self) -> Result<GraphProto, ModelError> {
        self.weights
            .flush()
            .and_then(|()| self.weights.get_ref().sync_all())
            .map_err(|error| ModelError::io(Path::new(&self.weights_name), error))?;
        Ok(self.graph)
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut attribute = AttributeProto {
        name: Some(name.to_owned()),
        ..AttributeProto::default()
    };
    match value {
        Attribute::Int(value) => {
            attribute.i = Some(*value);
            attribute.r#type = Some(attribute_type::INT);
        }
        Attribute::Text(value) => {
            attribute.s = Some(value.as_bytes().to_vec());
            attribute.r#type = Some(attribute_type::STRING);
        }
        Attribute::Ints(values) => {
            attribute.ints = values.to_vec();
            attribute.r#type = Some(attribute_type::INTS);
        }
        Attribute::Float(value) => {
            attribute.f = Some(*value);
            attribute.r#type = Some(attribute_type::FLOAT);
        }
    }
    attribute
}

fn tensor(name: &str, kind: i32, dims: &[usize]) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: Some(kind),
        name: Some(name.to_owned()),
        ..TensorProto::default()
    }
}

fn value_info(name: &str, kind: i32, dimensions: &[Dimension]) -> ValueInfoProto {
    let dim = dimensions
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => DimensionProto {
                dim_value: Some(*size as i64),
                dim_param: None,
            },
            Dimension::Named(name) => DimensionProto {
                dim_value: None,
                dim_param: Some((*name).to_owned()),
            },
        })
        .collect();
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(kind),
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}
