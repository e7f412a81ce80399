use super::*;
use crate::models::import::{Activation, Pairs};

/// Two small blocks; no two sizes are the same by chance.
pub(crate) fn small_shape() -> AdapterShape {
    let size = |inputs, outputs| Size { inputs, outputs };
    AdapterShape {
        layers: 2,
        sizes: [
            size(24, 32),
            size(24, 16),
            size(24, 16),
            size(32, 24),
            size(24, 40),
            size(24, 40),
            size(40, 24),
        ],
    }
}

#[test]
fn no_two_adapters_have_the_same_id() {
    let shape = small_shape();
    let make = || random(&shape, &[Target::Query], 2, 0.1, 7);
    assert_eq!(make().parts, make().parts);
    assert_ne!(make().id, make().id);
}

#[test]
fn what_does_not_fit_the_model_is_told_by_the_layers_name() {
    let shape = small_shape();
    let good = || random(&shape, &Target::ALL, 2, 0.1, 7);
    assert!(good().check(&shape).is_ok());
    type Damage = fn(&mut Adapter);
    let damages: [(Damage, &str); 6] = [
        (|a| a.parts[3].layer = 2, "model.layers.2.self_attn.o_proj"),
        (
            |a| a.parts[4].up.truncate(1),
            "model.layers.0.mlp.gate_proj",
        ),
        (|a| a.parts[5].down.push(0.0), "model.layers.0.mlp.up_proj"),
        (|a| a.parts[7].rank = 0, "model.layers.1.self_attn.q_proj"),
        (|a| a.parts[6].up[0] = f32::NAN, "finite"),
        (|a| a.parts.push(a.parts[0].clone()), "twice"),
    ];
    for (damage, told) in damages {
        let mut adapter = good();
        damage(&mut adapter);
        let error = adapter.check(&shape).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_llamas_linear_layers_have_the_sizes_of_its_heads_and_states() {
    let shape = DecoderShape {
        layers: 3,
        width: 64,
        feed_forward: 96,
        heads: 2,
        kv_heads: 1,
        head_dim: 48,
        context: 128,
        vocabulary: 259,
        norm_epsilon: 1e-5,
        rope_base: 1e4,
        rope_scale: 1.0,
        rope_factors: false,
        pairs: Pairs::Neighbours,
        sliding: None,
        attention_scale: 48.0_f32.sqrt().recip(),
        qkv_bias: false,
        qk_norm: false,
        post_norms: false,
        activation: Activation::Silu,
        embedding_scale: 1.0,
        tied: true,
    };
    let shape = AdapterShape::from(&shape);
    let sizes = shape.sizes.map(|size| (size.inputs, size.outputs));
    assert_eq!(
        sizes,
        [
            (64, 96),
            (64, 48),
            (64, 48),
            (96, 64),
            (64, 96),
            (64, 96),
            (96, 64)
        ]
    );
}
