"""Makes families-reference.json: tiny random models of each family, and what llama.cpp
computes on them.

    python3 -m venv venv && venv/bin/pip install xllamacpp==2026.10.11549 gguf==0.19.0 numpy
    venv/bin/python make-families-reference.py > families-reference.json

The JSON describes each model whole: metadata, and tensors by name, size and a rule for their
numbers (a linear congruential generator, one stream through all tensors), so that a test can
write the same GGUF file without this script.
"""

import itertools
import json
import sys
import tempfile
import urllib.request

import gguf
import numpy as np
import xllamacpp as llama

WIDTH, INNER, HEAD, LAYERS = 64, 96, 32, 3
TOKENS, TOP = 12, 10
TEXTS = [
    "hi his hiss  hi   a",
    " hi\nhi\n\nhi\n\n\n a",
    "it's It'S 'sa a's",
    "1 12 121 1212 12121 a1 1a",
    "!! !!! ..! a.\n!\n\n  a",
    "\thi\t\thi \n hi",
    "aSa SSa aaSS Sa is",
    "naïve ٣٤ ½ Ⅷ 你好 🦉 a\u0301 hi\u00a0hi",
    "<|im_start|>hi<|im_end|> <s>hi</s> <b>hi</b>",
    "",
]


def bytes_to_characters():
    """GPT-2's printable stand-ins for bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in printable)
    table = {byte: chr(byte) for byte in printable}
    table |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [table[byte] for byte in range(256)]


def bpe(pre, **flags):
    letters = ["h", "i", "s", "S", "'", "1", "2", "Ġ", "Ċ", "!", ".", "a"]
    merges = [f"{left} {right}" for left, right in itertools.product(letters, letters)]
    merges += ["12 1", "121 2", "ĠĠ Ġ", "Ġh i", "Ġhi s", "ĊĊ Ċ", "!! !", "' S", "aS a"]
    merges = list(dict.fromkeys(merges))
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = specials + bytes_to_characters() + [merge.replace(" ", "") for merge in merges]
    pairs = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * len(specials) + [1] * (len(tokens) - len(specials)),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
    }
    return pairs | {f"tokenizer.ggml.{key}": value for key, value in flags.items()}


def sentencepiece(own, **flags):
    """`own` are the tokens before the bytes, with their types."""
    letters = ["▁", "h", "i", "s", "a"]
    pieces = [*letters, *"Selot12.!'", "é"]
    pieces += [left + right for left, right in itertools.product(letters, letters)]
    pieces += ["▁hi", "his", "▁his", "▁▁▁", "iss"]
    tokens = [token for token, _ in own] + [f"<0x{byte:02X}>" for byte in range(256)] + pieces
    scores = [0.0] * (len(tokens) - len(pieces))
    # Not in the order of the ids, and with equals.
    scores += [-float(place * 7 % 23) for place in range(len(pieces))]
    pairs = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": [kind for _, kind in own] + [6] * 256 + [1] * len(pieces),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    return pairs | {f"tokenizer.ggml.{key}": value for key, value in flags.items()}


def model(family, vocabulary, heads=2, kv_heads=1, tied=True, factors=False, **more):
    gemma, qwen3, qwen2 = family == "gemma3", family == "qwen3", family == "qwen2"
    pairs = {"general.architecture": family}
    sizes = {
        "block_count": LAYERS,
        "context_length": 128,
        "embedding_length": WIDTH,
        "feed_forward_length": INNER,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    if heads * HEAD != WIDTH:
        sizes |= {"attention.key_length": HEAD, "attention.value_length": HEAD}
    pairs |= {f"{family}.{key}": value for key, value in (sizes | more).items()}
    pairs |= vocabulary
    queries, keys = heads * HEAD, kv_heads * HEAD
    # Name, innermost dimension first, what is added to the numbers, what they are multiplied by.
    count = len(vocabulary["tokenizer.ggml.tokens"])
    tensors = [("token_embd.weight", [WIDTH, count], 0, 1), ("output_norm.weight", [WIDTH], 1, 1)]
    if not tied:
        tensors.append(("output.weight", [WIDTH, count], 0, 1))
    if factors:
        tensors.append(("rope_freqs.weight", [HEAD // 2], 3, 4))
    for layer in range(LAYERS):
        parts = [
            ("attn_norm.weight", [WIDTH], 1, 1),
            ("attn_q.weight", [WIDTH, queries], 0, 1),
            ("attn_k.weight", [WIDTH, keys], 0, 1),
            ("attn_v.weight", [WIDTH, keys], 0, 1),
            ("attn_output.weight", [queries, WIDTH], 0, 1),
            ("ffn_norm.weight", [WIDTH], 1, 1),
            ("ffn_gate.weight", [WIDTH, INNER], 0, 1),
            ("ffn_up.weight", [WIDTH, INNER], 0, 1),
            ("ffn_down.weight", [INNER, WIDTH], 0, 1),
        ]
        if qwen2:
            parts += [(f"attn_{part}.bias", [queries if part == "q" else keys], 0, 2) for part in "qkv"]
        if qwen3 or gemma:
            parts += [(f"attn_{part}_norm.weight", [HEAD], 1, 1) for part in "qk"]
        if gemma:
            parts += [(f"post_{part}_norm.weight", [WIDTH], 4, 4) for part in ["attention", "ffw"]]
        tensors += [(f"blk.{layer}.{name}", *rest) for name, *rest in parts]
    return {"pairs": pairs, "tensors": tensors}


LLAMA_TOKENS = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
GEMMA_TOKENS = [("<pad>", 3), ("<bos>", 3), ("<eos>", 3), ("<unk>", 3), ("<end_of_turn>", 3)]
GEMMA_TOKENS += [(text, 4) for text in ["\n", "\n\n", "  ", "   ", "<b>", "</b>"]]
MODELS = {
    "llama with sentencepiece": model("llama", sentencepiece(LLAMA_TOKENS), tied=False),
    "llama 3": model(
        "llama", bpe("llama-bpe"), factors=True, **{"rope.freq_base": 500000.0, "vocab_size": 400}
    ),
    "llama stretched": model(
        "llama", bpe("smollm"), **{"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
    ),
    "qwen2": model("qwen2", bpe("qwen2", add_bos_token=False), tied=False),
    "qwen3": model("qwen3", bpe("qwen2", add_bos_token=False), heads=4, kv_heads=2),
    "gemma3": model(
        "gemma3",
        sentencepiece(GEMMA_TOKENS, add_bos_token=True, add_space_prefix=False),
        heads=4,
        **{
            "attention.sliding_window": 8,
            "attention.sliding_window_pattern": 2,
            "rope.freq_base": 1000000.0,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    "gpt-2's splits": model("llama", bpe("gpt-2")),
    "default splits": model("llama", bpe("default")),
    "tekken's splits": model("llama", bpe("tekken")),
}


def numbers():
    """What a test must repeat: in [-0.5, 0.5), exactly."""
    state = 1
    while True:
        state = (state * 1664525 + 1013904223) % 2**32
        yield (state >> 8) / 2**24 - 0.5


def write(path, described):
    family = described["pairs"]["general.architecture"]
    writer = gguf.GGUFWriter(path, family)
    for key, value in described["pairs"].items():
        if key == "general.architecture":
            continue
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_string(key, value)
    stream = numbers()
    for name, dimensions, offset, scale in described["tensors"]:
        values = np.fromiter(itertools.islice(stream, int(np.prod(dimensions))), np.float32)
        values = np.float32(offset) + np.float32(scale) * values
        writer.add_tensor(name, values.reshape(dimensions[::-1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path):
    settings = llama.CommonParams()
    settings.model.path = path
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers, settings.port = 128, 1, 0, 0
    settings.warmup = False
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.cache_type_k = settings.cache_type_v = type(settings.cache_type_k)(0)  # F32
    return llama.Server(settings)


def post(server, path, body):
    request = urllib.request.Request(
        server.listening_address + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    return json.load(urllib.request.urlopen(request))


def reference(described):
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/model.gguf"
        write(path, described)
        server = serve(path)
        texts = []
        for text in TEXTS:
            body = {"content": text, "add_special": False, "parse_special": False}
            texts.append({"text": text, "tokens": post(server, "/tokenize", body)["tokens"]})
        bos = post(server, "/tokenize", {"content": "a", "add_special": True})["tokens"][0]
        prompt = [(index * 37 + 5) % 200 + 60 for index in range(24)]
        body = {"content": "a", "add_special": False}
        letter = post(server, "/tokenize", body)["tokens"][-1]
        tokens, steps = [], []
        for _ in range(TOKENS):
            # An answer that ends inside a character has no probabilities: a letter is forced,
            # which these, taken before sampling, do not feel.
            body = {"prompt": prompt + tokens, "n_predict": 1, "n_probs": TOP, "temperature": 0}
            body |= {"samplers": ["temperature"], "cache_prompt": False}
            body |= {"logit_bias": [[letter, 1000]]}
            answer = post(server, "/completion", body)
            top = answer["completion_probabilities"][0]["top_logprobs"]
            steps.append([[item["id"], round(item["logprob"], 5)] for item in top])
            tokens.append(top[0]["id"])
        del server
    return {"texts": texts, "first": bos, "prompt": prompt, "tokens": tokens, "steps": steps}


def main():
    models = []
    for name, described in MODELS.items():
        print(name, file=sys.stderr)
        models.append({"name": name} | described | reference(described))
    lines = ",\n".join(json.dumps(it, ensure_ascii=False, separators=(",", ":")) for it in models)
    print(f"[{lines}]")


main()
