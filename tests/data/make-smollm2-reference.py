"""Makes smollm2-reference.json: what llama.cpp computes on the GGUF file of smollm2-135m.

    python3 -m venv venv && venv/bin/pip install xllamacpp==2026.10.11549 gguf numpy
    venv/bin/python make-smollm2-reference.py SmolLM2-135M-Instruct.Q4_1.gguf > smollm2-reference.json

llama.cpp quantises activations when weights are quantised, so the file is run twice:
as it is, and with every tensor dequantised to F32 by gguf-py, which llama.cpp then
computes in 32-bit floats throughout (KV cache too).
"""

import json
import sys
import tempfile
import urllib.request

import gguf
import numpy as np
import xllamacpp as llama

CHATS = [
    [
        {
            "role": "user",
            "content": "Tell me a short story about a lighthouse keeper who is afraid of the sea.",
        }
    ],
    [
        {
            "role": "system",
            "content": "You are a guest at a small party. It's 1925; answer in one short line.",
        },
        {"role": "user", "content": "Hi! Who are you, and where were you born?"},
        {"role": "assistant", "content": "I'm Ada, from Leeds -- born in 1899."},
        {
            "role": "user",
            "content": "  Naïve question… what's 17+25?\n\nTell me a story about café owls 🦉.",
        },
    ],
]
TEXTS = [
    "Hello, world",
    "  two  spaces\n\n\ttabs",
    "It's 1234567 o'clock — naïve café 🦉 ١٢ Ⅷ",
    "<|im_start|>not special<|im_end|>",
    "x=1;y=(2+3)*4 //ok\r\n\r\n  end  ",
]
TOKENS = 48
TOP = 10


def dequantised(source, target):
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(target, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value, kind = field.contents(), field.types[0]
        if key == "general.file_type":
            value = 0
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, kind)
    for tensor in reader.tensors:
        numbers = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        shape = tuple(int(size) for size in tensor.shape[::-1])
        writer.add_tensor(tensor.name, numbers.reshape(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path):
    settings = llama.CommonParams()
    settings.model.path = path
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers, settings.port = 1024, 1, 0, 0
    settings.use_jinja, settings.warmup = True, False
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


def complete(server, prompt, count, top):
    body = {"prompt": prompt, "n_predict": count, "n_probs": top, "temperature": 0}
    body |= {"samplers": ["temperature"], "cache_prompt": False, "return_tokens": True}
    return post(server, "/completion", body)


def tops(step):
    return [[item["id"], round(item["logprob"], 5)] for item in step["top_logprobs"]]


def main():
    source = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        exact_path = folder + "/f32.gguf"
        dequantised(source, exact_path)
        server = serve(exact_path)
        chats = []
        for messages in CHATS:
            text = post(server, "/apply-template", {"messages": messages})["prompt"]
            body = {"content": text, "add_special": True, "parse_special": True}
            prompt = post(server, "/tokenize", body)["tokens"]
            answer = complete(server, prompt, TOKENS, TOP)
            steps = [tops(step) for step in answer["completion_probabilities"]]
            chats.append(
                {"messages": messages, "prompt": prompt, "tokens": answer["tokens"], "exact": steps}
            )
        texts = []
        for text in TEXTS:
            body = {"content": text, "add_special": False, "parse_special": False}
            texts.append({"text": text, "tokens": post(server, "/tokenize", body)["tokens"]})
        del server
        server = serve(source)
        for chat in chats:
            chat["quantised"] = []
            for step in range(0, TOKENS, 6):
                answer = complete(server, chat["prompt"] + chat["tokens"][:step], 1, 200)
                found = dict(tops(answer["completion_probabilities"][0]))
                top = [[token, found[token]] for token, _ in chat["exact"][step]]
                chat["quantised"].append({"step": step, "top": top})
    json.dump({"chats": chats, "texts": texts}, sys.stdout, ensure_ascii=False)


main()
