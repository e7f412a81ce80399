"""Makes gguf-types.json: blocks of bytes and the numbers that they stand for.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy
    venv/bin/python make-gguf-types.py > gguf-types.json

The bytes are random, but for the scales: those are small numbers, so that everything is finite.
"""

import json

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

# Where a block's 16-bit scales stand.
SCALES = {
    Type.F32: [],
    Type.F16: [0],
    Type.BF16: [],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q2_K: [80, 82],
    Type.Q3_K: [108],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
    Type.IQ4_NL: [0],
    Type.IQ4_XS: [0],
}


def block(random, kind, scales):
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    if kind == Type.F32:
        data = random.normal(size=4).astype(np.float32).view(np.uint8)
    elif kind == Type.BF16:
        # The upper half of a float.
        data = np.array(random.normal(size=4).astype(np.float32)).view(np.uint8)
        data = data.reshape(4, 4)[:, 2:].flatten()
    else:
        data = random.integers(0, 256, size=size, dtype=np.uint8)
    for at in scales:
        data[at : at + 2] = random.normal(size=1).astype(np.float16).view(np.uint8)
    values = gguf.dequantize(data, kind).astype(np.float32).flatten()
    assert np.isfinite(values).all()
    # Enough digits to name each float; JSON readers round them back to it.
    numbers = [float(str(value)) for value in values]
    return {"name": kind.name, "kind": int(kind), "hex": data.tobytes().hex(), "numbers": numbers}


random = np.random.default_rng(1)
blocks = [block(random, kind, scales) for kind, scales in SCALES.items()]
print("[" + ",\n".join(json.dumps(block, separators=(",", ":")) for block in blocks) + "]")
