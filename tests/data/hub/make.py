"""Makes the exports in this folder: tiny random models, as the usual exporters write them.

    python3 -m venv new && new/bin/pip install torch==2.6.0 transformers==4.48.3 optimum==1.24.0 onnx==1.17.0 onnxruntime
    new/bin/python make.py optimum
    new/bin/python make.py whisper
    python3 -m venv old && old/bin/pip install torch==2.6.0 transformers==4.38.2 optimum==1.17.1 onnx==1.17.0 onnxruntime "numpy<2"
    old/bin/python make.py bloom-fused
    python3 -m venv genai && genai/bin/pip install torch==2.6.0 transformers==4.57.1 onnxruntime-genai==0.18.0 onnx-ir onnxruntime
    genai/bin/python make.py genai

Weights are multiples of 1/16, so that the archives stay small. `reference.json` in each
holds a prompt, for an encoder-decoder a reply, and torch's logits after each token of the
prompt (or of the start token and the reply), as 32-bit floats.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
import transformers as t

HERE = Path(__file__).parent
SIZE = 40
COMMON = dict(vocab_size=SIZE, bos_token_id=0, eos_token_id=0)
LLAMA3 = dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)


def models():
    return {
        "gpt2": lambda: (t.GPT2LMHeadModel, t.GPT2Config(n_positions=64, n_embd=16, n_layer=2, n_head=2, **COMMON)),
        "llama": lambda: (t.LlamaForCausalLM, t.LlamaConfig(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, rope_theta=500000.0,
            rope_scaling=LLAMA3, tie_word_embeddings=True, **COMMON)),
        # The builder of onnxruntime-genai wants heads of at least 16 numbers.
        "wide-llama": lambda: (t.LlamaForCausalLM, t.LlamaConfig(
            hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=64, rope_theta=500000.0,
            rope_scaling=LLAMA3, tie_word_embeddings=True, **COMMON)),
        "opt": lambda: (t.OPTForCausalLM, t.OPTConfig(
            hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, word_embed_proj_dim=16, pad_token_id=1, **COMMON)),
        "gpt-neo": lambda: (t.GPTNeoForCausalLM, t.GPTNeoConfig(
            hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, window_size=8,
            attention_types=[[["global", "local"], 1]], max_position_embeddings=64, **COMMON)),
        "bloom": lambda: (t.BloomForCausalLM, t.BloomConfig(hidden_size=16, n_layer=2, n_head=2, **COMMON)),
        "t5": lambda: (t.T5ForConditionalGeneration, t.T5Config(
            vocab_size=SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
            decoder_start_token_id=2, eos_token_id=0, pad_token_id=2)),
        "mt5": lambda: (t.MT5ForConditionalGeneration, t.MT5Config(
            vocab_size=SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
            decoder_start_token_id=2, eos_token_id=0, pad_token_id=2, tie_word_embeddings=False)),
        "whisper": lambda: (t.WhisperForConditionalGeneration, t.WhisperConfig(
            vocab_size=SIZE, num_mel_bins=80, d_model=16, encoder_layers=1, decoder_layers=2,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24,
            max_target_positions=32, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=1,
            suppress_tokens=[], begin_suppress_tokens=[])),
    }


def made(name):
    torch.manual_seed(0)
    kind, config = models()[name]()
    model = kind(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            fresh = torch.randn_like(weights) * (0.5 if weights.dim() > 1 else 0.1)
            start = 1.0 if weights.dim() == 1 and float(weights.mean()) == 1.0 else 0.0
            weights.copy_(torch.round((start + fresh) * 16) / 16)
    return model


def reference(model):
    dice = torch.Generator().manual_seed(1)
    prompt = torch.randint(3, SIZE, (1, 24), generator=dice)
    reply = []
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            reply = torch.randint(3, SIZE, (8,), generator=dice).tolist()
            # The tokenizer puts the token that ends a text behind a prompt.
            read = torch.cat([prompt, torch.tensor([[0]])], 1)
            written = torch.tensor([[model.config.decoder_start_token_id, *reply]])
            logits = model(input_ids=read, decoder_input_ids=written).logits[0]
        else:
            logits = model(input_ids=prompt).logits[0]
    logits = [[round(float(x), 5) for x in row] for row in logits]
    return dict(prompt=prompt[0].tolist(), reply=reply, logits=logits)


def tokenizer(encoder_decoder):
    """Letters and a few pieces, as GPT-2's or T5's tokenizer has them."""
    letters = "abcdefghijklmnopqrstuvwxyz.,:!?"
    special = dict(id=0, content="</s>", single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    common = dict(version="1.0", truncation=None, padding=None)
    if encoder_decoder:
        pieces = ["</s>", "<unk>", "<pad>", "\u2581", *letters, "th", "\u2581a", "\u2581th", "er", "he"]
        vocabulary = [[piece, 0.0 if at < 3 else -2.0 - len(piece) / 8 + at / 100] for at, piece in enumerate(pieces)]
        space = dict(type="Metaspace", replacement="\u2581", prepend_scheme="always", split=True)
        return dict(
            **common,
            added_tokens=[dict(special, id=at, content=pieces[at]) for at in range(3)],
            normalizer=None, pre_tokenizer=space, decoder=space,
            post_processor=dict(
                type="TemplateProcessing", single=[dict(Sequence=dict(id="A", type_id=0)),
                                                   dict(SpecialToken=dict(id="</s>", type_id=0))],
                pair=[dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=0))],
                special_tokens={"</s>": dict(id="</s>", ids=[0], tokens=["</s>"])}),
            model=dict(type="Unigram", unk_id=1, vocab=vocabulary, byte_fallback=False))
    pieces = ["</s>", "\u0120", "\u010a", *letters, "th", "he", "er", "\u0120a", "in"]
    merges = [["t", "h"], ["h", "e"], ["e", "r"], ["\u0120", "a"], ["i", "n"]]
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    return dict(
        **common, added_tokens=[special], normalizer=None, pre_tokenizer=level, decoder=level, post_processor=None,
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                   fuse_unk=False, byte_fallback=False, ignore_merges=False,
                   vocab={piece: at for at, piece in enumerate(pieces)}, merges=merges))


def pack(name, folder, graphs, model):
    settings = dict(eos_token="</s>", bos_token="</s>")
    with zipfile.ZipFile(HERE / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        def add(path, data):
            archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED, 9)

        for graph in graphs:
            add(graph, (folder / graph).read_bytes())
            if (folder / f"{graph}.data").exists():
                add(f"{graph}.data", (folder / f"{graph}.data").read_bytes())
        config = json.loads(model.config.to_json_string())
        config.pop("_name_or_path", None)
        add("config.json", json.dumps(config))
        add("tokenizer.json", json.dumps(tokenizer(model.config.is_encoder_decoder)))
        add("tokenizer_config.json", json.dumps(settings))
        add("reference.json", json.dumps(reference(model)))


def optimum(name, archive, graphs, legacy):
    from optimum.exporters.onnx import main_export
    model = made(name)
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        model.save_pretrained(source)
        task = "text2text-generation-with-past" if model.config.is_encoder_decoder else "text-generation-with-past"
        main_export(source, output=target, task=task, legacy=legacy, do_validation=False)
        pack(archive, Path(target), graphs, model)


def genai(archive, precision, device):
    model = made("wide-llama")
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        model.save_pretrained(source)
        (Path(source) / "tokenizer.json").write_text(json.dumps(tokenizer(False)))
        (Path(source) / "tokenizer_config.json").write_text(json.dumps(dict(
            tokenizer_class="PreTrainedTokenizerFast", eos_token="</s>", bos_token="</s>")))
        subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", source, "-o", target,
                        "-p", precision, "-e", device, "-c", source], check=True)
        pack(archive, Path(target), ["model.onnx"], model)


def whisper():
    """What an ear reads: a spectrogram by a formula, tokens, and the logits after each."""
    from optimum.exporters.onnx import main_export
    model = made("whisper")
    band, frame = torch.arange(80)[:, None], torch.arange(3000)[None, :]
    features = ((band * 7 + frame * 13) % 32) / 16 - 1
    tokens = [1, 5, 9, 17, 4, 30]
    with torch.no_grad():
        logits = model(input_features=features[None], decoder_input_ids=torch.tensor([tokens])).logits[0]
    logits = [[round(float(x), 5) for x in row] for row in logits]
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        model.save_pretrained(source)
        main_export(source, output=target, task="automatic-speech-recognition-with-past", do_validation=False)
        with zipfile.ZipFile(HERE / "whisper-merged.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for graph in ENCODER + MERGED:
                archive.writestr(zipfile.ZipInfo(graph), (Path(target) / graph).read_bytes(), zipfile.ZIP_DEFLATED, 9)
            reference = json.dumps(dict(tokens=tokens, logits=logits))
            archive.writestr(zipfile.ZipInfo("reference.json"), reference, zipfile.ZIP_DEFLATED, 9)


def keep():
    """As transformers.js's converter does: logits of the last tokens alone."""
    import onnx
    from onnx import TensorProto, helper
    from optimum.exporters.onnx import main_export
    model = made("llama")
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        model.save_pretrained(source)
        main_export(source, output=target, task="text-generation-with-past", do_validation=False)
        path = Path(target) / "model.onnx"
        whole = onnx.load(path)
        graph = whole.graph
        last = next(node for node in graph.node if "logits" in node.output)
        hidden = last.input[0]
        cut = [
            helper.make_node("Constant", [], ["keep.zero"], value=helper.make_tensor("", TensorProto.INT64, [1], [0])),
            helper.make_node("Constant", [], ["keep.one"], value=helper.make_tensor("", TensorProto.INT64, [1], [1])),
            helper.make_node("Constant", [], ["keep.end"],
                             value=helper.make_tensor("", TensorProto.INT64, [1], [2**63 - 1])),
            helper.make_node("Sub", ["keep.zero", "num_logits_to_keep"], ["keep.minus"]),
            helper.make_node("Reshape", ["keep.minus", "keep.one"], ["keep.start"]),
            helper.make_node("Slice", [hidden, "keep.start", "keep.end", "keep.one"], ["keep.hidden"]),
        ]
        last.input[0] = "keep.hidden"
        at = list(graph.node).index(last)
        for node in reversed(cut):
            graph.node.insert(at, node)
        graph.input.append(helper.make_tensor_value_info("num_logits_to_keep", TensorProto.INT64, []))
        for output in graph.output:
            if output.name == "logits":
                output.type.tensor_type.shape.dim[1].dim_param = "num_logits_to_keep"
        onnx.checker.check_model(whole)
        onnx.save(whole, path)
        pack("llama-keep", Path(target), ["model.onnx"], model)


MERGED, APART = ["decoder_model_merged.onnx"], ["decoder_model.onnx", "decoder_with_past_model.onnx"]
ENCODER = ["encoder_model.onnx"]
if __name__ == "__main__":
    if sys.argv[1] == "optimum":
        for whole in ["gpt2", "llama", "opt", "gpt-neo", "bloom"]:
            optimum(whole, whole, ["model.onnx"], legacy=False)
        keep()
        optimum("gpt2", "gpt2-merged", MERGED, legacy=True)
        optimum("llama", "llama-apart", APART, legacy=True)
        optimum("t5", "t5-merged", ENCODER + MERGED, legacy=False)
        optimum("mt5", "mt5-apart", ENCODER + APART, legacy=False)
    elif sys.argv[1] == "whisper":
        whisper()
    elif sys.argv[1] == "bloom-fused":
        optimum("bloom", "bloom-fused", ["model.onnx"], legacy=False)
        optimum("bloom", "bloom-fused-merged", MERGED, legacy=True)
    else:
        genai("llama-gqa", "fp32", "cpu")
        genai("llama-gqa-int4", "int4", "cpu")
        # With MultiHeadAttention and a mask.
        genai("llama-mha-fp16", "fp16", "cpu")
        genai("llama-gqa-fp16", "fp16", "cuda")
