//! A graph that copies blocks of bytes: what moves memory on a device that the processor
//! cannot reach.

use prost::Message;

use super::onnx::{
    DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TypeProto, TypeProtoTensor, ValueInfoProto, data_type,
};

/// Name of the input of a lane.
pub(crate) fn from(lane: usize) -> String {
    format!("from_{lane}")
}

/// Name of the output of a lane.
pub(crate) fn to(lane: usize) -> String {
    format!("to_{lane}")
}

/// A serialised model with so many lanes, each `to = from`, `[N]` bytes of any length.
pub(crate) fn model(lanes: usize) -> Vec<u8> {
    let value = |name: String, lane: usize| {
        let length = DimensionProto {
            dim_value: None,
            dim_param: Some(format!("length_{lane}")),
        };
        ValueInfoProto {
            name: Some(name),
            r#type: Some(TypeProto {
                tensor_type: Some(TypeProtoTensor {
                    elem_type: Some(data_type::UINT8),
                    shape: Some(TensorShapeProto { dim: vec![length] }),
                }),
            }),
        }
    };
    let node = |lane| NodeProto {
        input: vec![from(lane)],
        output: vec![to(lane)],
        name: Some(format!("copy_{lane}")),
        op_type: Some("Identity".into()),
        domain: None,
        attribute: Vec::new(),
    };
    let graph = GraphProto {
        node: (0..lanes).map(node).collect(),
        name: Some("copies".into()),
        initializer: Vec::new(),
        input: (0..lanes).map(|lane| value(from(lane), lane)).collect(),
        output: (0..lanes).map(|lane| value(to(lane), lane)).collect(),
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(18),
        }],
        producer_name: Some("parlour".into()),
        producer_version: None,
        graph: Some(graph),
        metadata_props: Vec::new(),
    }
    .encode_to_vec()
}
