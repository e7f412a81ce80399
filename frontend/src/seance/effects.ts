/**
 * What the other side does to a voice: chains of Web Audio nodes. All noise and all rooms are
 * made here, so nothing is loaded.
 */
export const EFFECTS = ['none', 'crypt', 'radio', 'breath'] as const;
export type Effect = (typeof EFFECTS)[number];

export interface Chain {
  input: AudioNode;
  output: AudioNode;
  stop(): void;
}

export function chain(context: AudioContext, effect: Effect): Chain {
  switch (effect) {
    case 'none': {
      const through = context.createGain();
      return { input: through, output: through, stop: () => through.disconnect() };
    }
    case 'crypt':
      return crypt(context);
    case 'radio':
      return radio(context);
    case 'breath':
      return breath(context);
  }
}

/** A large room of stone: a long tail, and the voice a little away. */
function crypt(context: AudioContext): Chain {
  const input = context.createGain();
  const output = context.createGain();
  const room = context.createConvolver();
  room.buffer = tail(context, 3.2, 2.4);
  const dark = filter(context, 'lowpass', 3400);
  wire(input, gain(context, 0.62), output);
  wire(input, room, dark, gain(context, 0.75), output);
  return { input, output, stop: () => output.disconnect() };
}

/** A valve set between two stations: a narrow band, driven, over a hiss. */
function radio(context: AudioContext): Chain {
  const input = context.createGain();
  const output = context.createGain();
  const drive = context.createWaveShaper();
  drive.curve = Float32Array.from({ length: 257 }, (_, at) => Math.tanh(((at - 128) / 128) * 3));
  const narrow = filter(context, 'highpass', 420);
  wire(input, narrow, filter(context, 'lowpass', 2600), drive, gain(context, 0.7), output);
  // The station drifts.
  const hiss = noise(context);
  const band = filter(context, 'bandpass', 1800);
  const level = gain(context, 0.012);
  const drift = context.createOscillator();
  drift.frequency.value = 0.13;
  const depth = gain(context, 0.006);
  wire(drift, depth);
  depth.connect(level.gain);
  wire(hiss, band, level, output);
  drift.start();
  return {
    input,
    output,
    stop: () => {
      hiss.stop();
      drift.stop();
      output.disconnect();
    },
  };
}

/** Close to the ear: the voice breathes, doubled a hair later, with air around it. */
function breath(context: AudioContext): Chain {
  const input = context.createGain();
  const output = context.createGain();
  const double = context.createDelay(0.1);
  double.delayTime.value = 0.021;
  const sway = context.createOscillator();
  sway.frequency.value = 0.31;
  const depth = gain(context, 0.004);
  wire(sway, depth);
  depth.connect(double.delayTime);
  wire(input, gain(context, 0.7), output);
  wire(input, double, filter(context, 'highpass', 900), gain(context, 0.5), output);
  const room = context.createConvolver();
  room.buffer = tail(context, 0.9, 4);
  wire(input, room, gain(context, 0.3), output);
  // Air that is as loud as the voice is: noise, opened by what is said.
  const air = noise(context);
  const open = gain(context, 0);
  const follow = context.createWaveShaper();
  follow.curve = Float32Array.from({ length: 257 }, (_, at) => Math.abs((at - 128) / 128) * 0.12);
  const smooth = filter(context, 'lowpass', 9);
  wire(input, follow, smooth);
  smooth.connect(open.gain);
  wire(air, filter(context, 'highpass', 3000), open, output);
  sway.start();
  return {
    input,
    output,
    stop: () => {
      air.stop();
      sway.stop();
      output.disconnect();
    },
  };
}

function wire(...nodes: AudioNode[]): void {
  nodes.reduce((from, to) => from.connect(to));
}

function gain(context: AudioContext, value: number): GainNode {
  const node = context.createGain();
  node.gain.value = value;
  return node;
}

function filter(context: AudioContext, type: BiquadFilterType, hertz: number): BiquadFilterNode {
  const node = context.createBiquadFilter();
  node.type = type;
  node.frequency.value = hertz;
  return node;
}

/** Noise that dies away: the answer of a room. Seconds, and how fast. */
function tail(context: AudioContext, seconds: number, decay: number): AudioBuffer {
  const length = Math.round(seconds * context.sampleRate);
  const buffer = context.createBuffer(2, length, context.sampleRate);
  for (const channel of [0, 1]) {
    const samples = buffer.getChannelData(channel);
    for (let at = 0; at < length; at += 1) {
      samples[at] = (Math.random() * 2 - 1) * (1 - at / length) ** (decay * 2);
    }
  }
  return buffer;
}

function noise(context: AudioContext): AudioBufferSourceNode {
  const buffer = context.createBuffer(1, 2 * context.sampleRate, context.sampleRate);
  const samples = buffer.getChannelData(0);
  for (let at = 0; at < samples.length; at += 1) samples[at] = Math.random() * 2 - 1;
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.loop = true;
  source.start();
  return source;
}
