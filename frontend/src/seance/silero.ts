/**
 * How likely somebody speaks: silero's network for 16 kHz (github.com/snakers4/silero-vad,
 * version 6), which hears 32 ms at a time and remembers what came before. It is so small
 * (0.7 million products a frame) that it needs no runtime: the page stays without
 * WebAssembly, and its security policy as strict as it is.
 *
 * Magnitudes of a short-time Fourier transform; four convolutions, each followed by a
 * rectifier; an LSTM (Hochreiter & Schmidhuber 1997, gates in the order of PyTorch: input,
 * forget, cell, output); one logistic unit.
 *
 * Law (see silero.test.ts): the same probabilities as ONNX Runtime gives.
 */

/** Samples that it hears at a time, at 16 kHz. */
export const FRAME = 512;
/** Samples before them that it is given again. */
const CONTEXT = 64;
/** Window and step of the transform, its bins, and how many windows a frame has. */
const WINDOW = 256;
const HOP = 128;
const BINS = WINDOW / 2 + 1;
const STEPS = 4;
const HIDDEN = 128;

/** The weights, in the order in which `dev/silero.ts` writes them: 32 bits each, little-endian. */
export const LAYOUT = {
  'stft.forward_basis_buffer': [2 * BINS, 1, WINDOW],
  'encoder.0.reparam_conv.weight': [128, BINS, 3],
  'encoder.0.reparam_conv.bias': [128],
  'encoder.1.reparam_conv.weight': [64, 128, 3],
  'encoder.1.reparam_conv.bias': [64],
  'encoder.2.reparam_conv.weight': [64, 64, 3],
  'encoder.2.reparam_conv.bias': [64],
  'encoder.3.reparam_conv.weight': [HIDDEN, 64, 3],
  'encoder.3.reparam_conv.bias': [HIDDEN],
  'decoder.rnn.weight_ih': [4 * HIDDEN, HIDDEN],
  'decoder.rnn.weight_hh': [4 * HIDDEN, HIDDEN],
  'decoder.rnn.bias_ih': [4 * HIDDEN],
  'decoder.rnn.bias_hh': [4 * HIDDEN],
  'decoder.decoder.2.weight': [1, HIDDEN, 1],
  'decoder.decoder.2.bias': [1],
} as const satisfies Record<string, readonly number[]>;

type Name = keyof typeof LAYOUT;

const STRIDES = [1, 2, 2, 1] as const;

export class Silero {
  readonly #weights: Record<Name, Float32Array>;
  #context = new Float32Array(CONTEXT);
  #hidden = new Float32Array(HIDDEN);
  #cell = new Float32Array(HIDDEN);

  /** Throws where the bytes are not these weights. */
  constructor(bytes: ArrayBuffer) {
    let at = 0;
    const take = (shape: readonly number[]): Float32Array => {
      const length = shape.reduce((product, size) => product * size, 1);
      const tensor = new Float32Array(bytes, at, length);
      at += tensor.byteLength;
      return tensor;
    };
    const named = Object.entries(LAYOUT).map(([name, shape]) => [name, take(shape)] as const);
    if (at !== bytes.byteLength) throw new Error(`${bytes.byteLength} bytes are no weights`);
    this.#weights = Object.fromEntries(named) as Record<Name, Float32Array>;
  }

  /** Forgets what it heard. */
  reset(): void {
    this.#context = new Float32Array(CONTEXT);
    this.#hidden = new Float32Array(HIDDEN);
    this.#cell = new Float32Array(HIDDEN);
  }

  /** The probability of speech in the next `FRAME` samples, each -1 to 1. */
  hear(frame: Float32Array): number {
    let heard = this.#magnitudes(frame);
    STRIDES.forEach((stride, layer) => {
      heard = this.#convolve(layer as 0 | 1 | 2 | 3, stride, heard);
    });
    this.#remember(heard);
    const weight = this.#weights['decoder.decoder.2.weight'];
    let sum = this.#weights['decoder.decoder.2.bias'][0]!;
    for (let unit = 0; unit < HIDDEN; unit += 1) {
      sum += weight[unit]! * Math.max(0, this.#hidden[unit]!);
    }
    return logistic(sum);
  }

  /** `[BINS, STEPS]`. */
  #magnitudes(frame: Float32Array): Float32Array {
    const sound = new Float32Array(CONTEXT + FRAME + CONTEXT);
    sound.set(this.#context);
    sound.set(frame, CONTEXT);
    // The end is mirrored.
    const end = CONTEXT + FRAME;
    for (let index = 0; index < CONTEXT; index += 1) sound[end + index] = sound[end - 2 - index]!;
    this.#context = frame.slice(FRAME - CONTEXT);

    const basis = this.#weights['stft.forward_basis_buffer'];
    const magnitudes = new Float32Array(BINS * STEPS);
    for (let bin = 0; bin < BINS; bin += 1) {
      for (let step = 0; step < STEPS; step += 1) {
        let real = 0;
        let imaginary = 0;
        for (let index = 0; index < WINDOW; index += 1) {
          const sample = sound[step * HOP + index]!;
          real += basis[bin * WINDOW + index]! * sample;
          imaginary += basis[(BINS + bin) * WINDOW + index]! * sample;
        }
        magnitudes[bin * STEPS + step] = Math.hypot(real, imaginary);
      }
    }
    return magnitudes;
  }

  /** `[channels, steps]` to `[channels, steps]`: kernels of three, silence on both sides. */
  #convolve(layer: 0 | 1 | 2 | 3, stride: number, heard: Float32Array): Float32Array {
    const [outputs, inputs] = LAYOUT[`encoder.${layer}.reparam_conv.weight`];
    const weight = this.#weights[`encoder.${layer}.reparam_conv.weight`];
    const bias = this.#weights[`encoder.${layer}.reparam_conv.bias`];
    const before = heard.length / inputs;
    const after = Math.floor((before - 1) / stride) + 1;
    const out = new Float32Array(outputs * after);
    for (let output = 0; output < outputs; output += 1) {
      for (let step = 0; step < after; step += 1) {
        let sum = bias[output]!;
        for (let tap = 0; tap < 3; tap += 1) {
          const at = step * stride + tap - 1;
          if (at < 0 || at >= before) continue;
          for (let input = 0; input < inputs; input += 1) {
            sum += weight[(output * inputs + input) * 3 + tap]! * heard[input * before + at]!;
          }
        }
        out[output * after + step] = Math.max(0, sum);
      }
    }
    return out;
  }

  #remember(heard: Float32Array): void {
    const ofInput = this.#weights['decoder.rnn.weight_ih'];
    const ofHidden = this.#weights['decoder.rnn.weight_hh'];
    const gates = new Float32Array(4 * HIDDEN);
    for (let gate = 0; gate < gates.length; gate += 1) {
      let sum =
        this.#weights['decoder.rnn.bias_ih'][gate]! + this.#weights['decoder.rnn.bias_hh'][gate]!;
      for (let unit = 0; unit < HIDDEN; unit += 1) {
        sum += ofInput[gate * HIDDEN + unit]! * heard[unit]!;
        sum += ofHidden[gate * HIDDEN + unit]! * this.#hidden[unit]!;
      }
      gates[gate] = sum;
    }
    for (let unit = 0; unit < HIDDEN; unit += 1) {
      const input = logistic(gates[unit]!);
      const forget = logistic(gates[HIDDEN + unit]!);
      const candidate = Math.tanh(gates[2 * HIDDEN + unit]!);
      const output = logistic(gates[3 * HIDDEN + unit]!);
      const cell = forget * this.#cell[unit]! + input * candidate;
      this.#cell[unit] = cell;
      this.#hidden[unit] = output * Math.tanh(cell);
    }
  }
}

function logistic(value: number): number {
  return 1 / (1 + Math.exp(-value));
}
