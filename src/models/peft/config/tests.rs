use serde_json::json;

use super::*;

/// As PEFT 0.18 writes it for `LoraConfig(r=16, lora_alpha=32)` on a llama.
const WRITTEN_BY_PEFT: &str = r#"{
  "alora_invocation_tokens": null,
  "alpha_pattern": {},
  "arrow_config": null,
  "auto_mapping": null,
  "base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct",
  "bias": "none",
  "corda_config": null,
  "ensure_weight_tying": false,
  "eva_config": null,
  "exclude_modules": null,
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "layer_replication": null,
  "layers_pattern": null,
  "layers_to_transform": null,
  "loftq_config": {},
  "lora_alpha": 32,
  "lora_bias": false,
  "lora_dropout": 0.05,
  "megatron_config": null,
  "megatron_core": "megatron.core",
  "modules_to_save": null,
  "peft_type": "LORA",
  "peft_version": "0.18.0",
  "qalora_group_size": 16,
  "r": 16,
  "rank_pattern": {},
  "revision": null,
  "target_modules": ["v_proj", "q_proj"],
  "target_parameters": null,
  "task_type": "CAUSAL_LM",
  "trainable_token_indices": null,
  "use_dora": false,
  "use_qalora": false,
  "use_rslora": false
}"#;

fn with(changes: Value) -> Result<Config, PeftError> {
    let mut file: Value = serde_json::from_str(WRITTEN_BY_PEFT).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        file[field] = value.clone();
    }
    Config::parse(file.to_string().as_bytes())
}

fn chosen(config: &Config) -> Vec<(usize, Target)> {
    let all = (0..3).flat_map(|layer| Target::ALL.map(|target| (layer, target)));
    all.filter(|(layer, target)| config.targets(*layer, *target))
        .collect()
}

#[test]
fn what_peft_writes_is_understood() {
    let config = Config::parse(WRITTEN_BY_PEFT.as_bytes()).unwrap();
    let both = |layer| [(layer, Target::Query), (layer, Target::Value)];
    assert_eq!(chosen(&config), [both(0), both(1), both(2)].concat());
    assert_eq!(config.rank(1, Target::Query), 16);
    assert_eq!(config.scale(1, Target::Query), 2.0);
}

#[test]
fn what_is_left_out_is_pefts_default() {
    let json = r#"{"peft_type": "LORA", "target_modules": ["q_proj"]}"#;
    let config = Config::parse(json.as_bytes()).unwrap();
    assert_eq!(config.rank(0, Target::Query), 8);
    assert_eq!(config.scale(0, Target::Query), 1.0);
}

#[test]
fn what_is_not_computed_is_refused_by_the_name_of_its_field() {
    for (field, value) in [
        ("peft_type", json!("IA3")),
        ("use_dora", json!(true)),
        ("use_qalora", json!(true)),
        ("use_what_comes_next", json!(true)),
        ("lora_bias", json!(true)),
        ("bias", json!("all")),
        ("bias", json!("lora_only")),
        ("modules_to_save", json!(["lm_head"])),
        ("target_parameters", json!(["experts.down_proj"])),
        ("trainable_token_indices", json!([3])),
        ("alora_invocation_tokens", json!([1, 2])),
        ("arrow_config", json!({"top_k": 3})),
        ("layer_replication", json!([[0, 2], [1, 3]])),
        ("init_lora_weights", json!("pissa_niter_16")),
        ("init_lora_weights", json!("olora")),
        ("r", json!(0)),
        ("r", json!(MAX_RANK + 1)),
        ("rank_pattern", json!({"q_proj": 0})),
        ("rank_pattern", json!({"q_proj(": 4})),
        ("alpha_pattern", json!({"(?=q_proj)": 4})),
        ("target_modules", json!(null)),
        ("target_modules", json!("model.*(")),
    ] {
        let changes = json!({field: value});
        let Err(error) = with(changes.clone()) else {
            panic!("{changes} was taken");
        };
        assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
    }
}

#[test]
fn what_changes_nothing_is_taken() {
    for changes in [
        json!({"init_lora_weights": "gaussian"}),
        json!({"init_lora_weights": false}),
        // PEFT turns it off itself where the layer is a plain linear one.
        json!({"fan_in_fan_out": true}),
        json!({"lora_dropout": 0.5}),
        json!({"a_field_of_the_future": {"deep": 1}}),
        json!({"modules_to_save": []}),
        json!({"rank_pattern": null, "alpha_pattern": null}),
    ] {
        assert!(with(changes.clone()).is_ok(), "{changes}");
    }
}

#[test]
fn an_ending_is_a_whole_word_of_a_name() {
    assert!(chosen(&with(json!({"target_modules": ["proj", "_proj"]})).unwrap()).is_empty());
    let whole = with(json!({"target_modules": ["model.layers.1.mlp.up_proj"]})).unwrap();
    assert_eq!(chosen(&whole), [(1, Target::Up)]);
    let within = with(json!({"target_modules": ["mlp.down_proj"]})).unwrap();
    assert_eq!(chosen(&within).len(), 3);
}

#[test]
fn one_text_is_a_pattern_of_whole_names() {
    let pattern = json!({"target_modules": r".*\.[12]\.self_attn\.(q|k)_proj"});
    let expected = [1, 2].map(|layer| [(layer, Target::Query), (layer, Target::Key)]);
    assert_eq!(chosen(&with(pattern).unwrap()), expected.concat());
    assert!(chosen(&with(json!({"target_modules": "q_proj"})).unwrap()).is_empty());
}

#[test]
fn excluded_modules_and_other_layers_are_left_alone() {
    let excluded = json!({"exclude_modules": ["layers.1.self_attn.q_proj", "v_proj"]});
    let expected = [(0, Target::Query), (2, Target::Query)];
    assert_eq!(chosen(&with(excluded).unwrap()), expected);
    let one = with(json!({"layers_to_transform": 1})).unwrap();
    assert_eq!(chosen(&one), [(1, Target::Query), (1, Target::Value)]);
    let some = with(json!({"layers_to_transform": [0, 2], "layers_pattern": "layers"})).unwrap();
    assert_eq!(chosen(&some).len(), 4);
    let error = with(json!({"layers_to_transform": [0], "layers_pattern": "h"}));
    assert!(error.is_err_and(|error| error.to_string().contains("layers_pattern")));
}

#[test]
fn the_first_pattern_that_matches_a_names_end_wins() {
    // Written by hand: a JSON library may sort keys.
    let json = WRITTEN_BY_PEFT
        .replace(
            r#""rank_pattern": {}"#,
            r#""rank_pattern": {"v_proj": 2, "1.self_attn.[qv]_proj": 4, "^model.layers.2.*": 32}"#,
        )
        .replace(
            r#""alpha_pattern": {}"#,
            r#""alpha_pattern": {"q_proj": 8.5}"#,
        );
    let config = Config::parse(json.as_bytes()).unwrap();
    let ranks = [0, 1, 2].map(|layer| {
        let rank = |target| config.rank(layer, target);
        (rank(Target::Query), rank(Target::Value))
    });
    assert_eq!(ranks, [(16, 2), (4, 2), (32, 2)]);
    assert_eq!(config.scale(1, Target::Query), 8.5 / 4.0);
    assert_eq!(config.scale(1, Target::Value), 16.0);
}

#[test]
fn a_stabilised_rank_is_divided_by_its_root() {
    let config = with(json!({"use_rslora": true})).unwrap();
    assert_eq!(config.scale(0, Target::Query), 8.0);
}
