"""Makes openvoice.zip: two tiny graphs with the inputs and outputs that exports of OpenVoice's tone
colour converter have, whose work can be told from outside.

    python3 -m venv here && here/bin/pip install onnx==1.23.2 onnxruntime numpy
    here/bin/python make.py

`tone_color_extract_model.onnx` tells as a timbre the mean magnitude in each of 256 bands of two
frequencies, as shares of all. `tone_clone_model.onnx` weighs each band by what the wanted timbre has
of it against what the sound's own has, and hums it: a cosine at every fourth frequency, whose
multiples of 22050 / 256 Hz go on from frame to frame. `silent.onnx` is the same but for sounds of 64
frames or more, of which it makes silence; `endless.onnx` works on those for ever. Like the exports they give further outputs after the
sound, whose names mean nothing.
"""

import zipfile
from pathlib import Path

import numpy
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

HERE = Path(__file__).parent
BINS, HOP, BANDS = 513, 256, 256
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(array), name))
        return name

    def ints(self, *numbers):
        return self.constant(numpy.array(numbers, dtype=numpy.int64))

    def number(self, it):
        return self.constant(numpy.array(it, dtype=numpy.float32))

    def do(self, operator, *inputs, out=None, **attributes):
        out = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [out], **attributes))
        return out

    def model(self, inputs, outputs):
        graph = helper.make_graph(self.nodes, "stand-in", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        checker.check_model(model)
        return model.SerializeToString()


def extractor():
    it = Graph()
    mean = it.do("ReduceMean", "input", axes=[1], keepdims=0)
    known = it.do("Slice", mean, it.ints(0), it.ints(2 * BANDS), it.ints(1))
    pairs = it.do("Reshape", known, it.ints(1, BANDS, 2))
    bands = it.do("ReduceMean", pairs, axes=[2], keepdims=1)
    share = it.do("Div", bands, it.do("ReduceSum", bands, it.ints(1), keepdims=1))
    it.do("Identity", share, out="77")
    return it.model([value("input", FLOAT, [1, "frames", BINS])], [value("77", FLOAT, [1, BANDS, 1])])


def counting(it, times):
    """One, after so many steps."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes_on"], ["goes_on_still"]),
         helper.make_node("Abs", ["x"], ["y"])],
        "step",
        [value("at", INT, []), value("goes_on", TensorProto.BOOL, []), value("x", FLOAT, [])],
        [value("goes_on_still", TensorProto.BOOL, []), value("y", FLOAT, [])])
    return it.do("Loop", times, "", it.number(1.0), body=body)


def converter(longest=None, endless=False):
    it = Graph()
    weight = it.do("Div", "dest_tone", it.do("Add", "src_tone", it.number(1e-6)))
    weight = it.do("Clip", weight, it.number(0.0), it.number(16.0))
    twice = it.do("Reshape", it.do("Concat", weight, weight, axis=2), it.ints(1, 2 * BANDS, 1))
    known = it.do("Slice", "audio", it.ints(0), it.ints(2 * BANDS), it.ints(1))
    heard = it.do("Mul", known, twice)
    # What is longer than it says is not there.
    shape = it.do("Shape", "audio", start=2, end=3)
    frames = it.do("Squeeze", shape)
    count = it.do("Range", it.constant(numpy.int64(0)), frames, it.constant(numpy.int64(1)))
    there = it.do("Cast", it.do("Less", count, "audio_length"), to=FLOAT)
    heard = it.do("Mul", heard, there)
    every = it.do("Slice", heard, it.ints(0), it.ints(2 * BANDS), it.ints(1), it.ints(4))
    # Schroeder's phases: no frame begins with a bang.
    at = numpy.arange(HOP, dtype=numpy.float32)[:, None]
    tone = numpy.arange(BANDS // 2, dtype=numpy.float32)[None, :]
    ranges = [it.constant(array) for array in (at, tone)]
    turn = it.do("Mul", it.do("Mul", *ranges), it.number(2 * numpy.pi / HOP))
    phase = it.do("Mul", it.do("Mul", ranges[1], ranges[1]), it.number(numpy.pi / BANDS * 2))
    waves = it.do("Cos", it.do("Add", turn, phase))
    sound = it.do("MatMul", waves, every)
    sound = it.do("Mul", sound, it.do("Div", "tau", it.number(0.3 * 256)))
    if longest is not None:
        short = it.do("Less", frames, it.constant(numpy.int64(longest)))
        if endless:
            ever = it.constant(numpy.int64(2**62))
            times = it.do("Where", short, it.constant(numpy.int64(1)), ever)
            sound = it.do("Mul", sound, counting(it, times))
        else:
            sound = it.do("Mul", sound, it.do("Cast", short, to=FLOAT))
    row = it.do("Reshape", it.do("Transpose", sound, perm=[0, 2, 1]), it.ints(1, 1, -1))
    it.do("Tanh", row, out="4831")
    it.do("Reshape", there, it.ints(1, 1, -1), out="1201")
    tone = [1, BANDS, 1]
    inputs = [value("audio", FLOAT, [1, BINS, "frames"]), value("audio_length", INT, [1]),
              value("src_tone", FLOAT, tone), value("dest_tone", FLOAT, tone), value("tau", FLOAT, [1])]
    outputs = [value("4831", FLOAT, [1, 1, "samples"]), value("1201", FLOAT, [1, 1, "frames"])]
    return it.model(inputs, outputs)


def run(model, **inputs):
    return onnxruntime.InferenceSession(model).run(None, inputs)


def main():
    files = {
        "tone_color_extract_model.onnx": extractor(),
        "tone_clone_model.onnx": converter(),
        "silent.onnx": converter(longest=64),
        "endless.onnx": converter(longest=64, endless=True),
    }
    dice = numpy.random.default_rng(0)
    sound = dice.random((1, 90, BINS), dtype=numpy.float32)
    own = run(files["tone_color_extract_model.onnx"], input=sound)[0]
    assert own.shape == (1, BANDS, 1) and abs(own.sum() - 1) < 1e-5
    ask = dict(audio=sound.transpose(0, 2, 1), audio_length=numpy.array([80]), src_tone=own,
               tau=numpy.array([0.3], dtype=numpy.float32))
    bright = numpy.linspace(0, 2 / BANDS, BANDS, dtype=numpy.float32)[None, :, None]
    for dest in (own, bright):
        made, mask = run(files["tone_clone_model.onnx"], dest_tone=dest, **ask)
        assert made.shape == (1, 1, 90 * HOP) and mask.sum() == 80
        assert abs(made[0, 0, 80 * HOP:]).max() == 0 and abs(made).max() > 0.01
    assert abs(run(files["silent.onnx"], dest_tone=own, **ask)[0]).max() == 0
    few = dict(ask, audio=ask["audio"][:, :, :40], audio_length=numpy.array([40]), dest_tone=own)
    assert (run(files["endless.onnx"], **few)[0] == run(files["tone_clone_model.onnx"], **few)[0]).all()
    with zipfile.ZipFile(HERE / "openvoice.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    print({name: len(content) for name, content in files.items()})


if __name__ == "__main__":
    main()
