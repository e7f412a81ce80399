/**
 * The weights of silero's voice activity network (MIT), taken out of the ONNX file that npm
 * package `@ricky0123/vad-web` (ISC) carries and put into the build: 1.2 MB of numbers for
 * 16 kHz, without the graph and without the half for 8 kHz. A module imports
 * `virtual:silero` to have their address.
 *
 * Field numbers are those of onnx.proto (github.com/onnx/onnx).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import type { Plugin } from 'vite';

import { LAYOUT } from '../src/seance/silero.ts';

const MODULE = 'virtual:silero';
const PACKAGE = '@ricky0123/vad-web/dist/silero_vad_v6.onnx';
/** The branch of the graph for 16 kHz. */
const BRANCH = 'If_0_then_branch__Inline_0__';

/** Where the file with the whole graph lies. */
export const graph = (): string => createRequire(import.meta.url).resolve(PACKAGE);

/** The weights as the page reads them. Throws where the file holds others. */
export function weights(): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, Tensor>();
  for (const part of fields(readFileSync(graph()), 7)) collect(part, tensors);
  const parts = Object.entries(LAYOUT).map(([name, shape]) => {
    const tensor = tensors.get(BRANCH + name);
    if (tensor?.shape.join() !== shape.join()) {
      throw new Error(`${name} is ${tensor?.shape.join() ?? 'nowhere'}, not ${shape.join()}`);
    }
    return tensor.raw;
  });
  return Uint8Array.from(Buffer.concat(parts));
}

export function silero(): Plugin {
  const bytes = weights();
  const hash = createHash('sha256').update(bytes).digest('base64url').slice(0, 8);
  const fileName = `assets/silero-${hash}.bin`;
  return {
    name: 'silero',
    resolveId: (id) => (id === MODULE ? `\0${MODULE}` : null),
    load: (id) => (id === `\0${MODULE}` ? `export default '/${fileName}';` : null),
    configureServer(server) {
      server.middlewares.use(`/${fileName}`, (_, response) => response.end(bytes));
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName, source: bytes });
    },
  };
}

interface Tensor {
  shape: number[];
  raw: Uint8Array;
}

/** The constants of a graph and of those within it, by name. */
function collect(bytes: Uint8Array, into: Map<string, Tensor>): void {
  for (const node of fields(bytes, 1)) {
    const [output] = [...fields(node, 2)];
    for (const attribute of fields(node, 5)) {
      for (const inner of fields(attribute, 6)) collect(inner, into);
      for (const tensor of fields(attribute, 5)) {
        const [raw] = [...fields(tensor, 9)];
        if (!raw || !output) continue;
        into.set(new TextDecoder().decode(output), { shape: [...shapeOf(tensor)], raw });
      }
    }
  }
}

function* shapeOf(tensor: Uint8Array): Iterable<number> {
  for (const [field, value] of records(tensor)) {
    if (field !== 1) continue;
    if (typeof value === 'number') yield value;
    else yield* packed(value);
  }
}

function* packed(bytes: Uint8Array): Iterable<number> {
  for (let at = 0; at < bytes.length;) {
    const [value, end] = varint(bytes, at);
    yield value;
    at = end;
  }
}

function* fields(bytes: Uint8Array, wanted: number): Iterable<Uint8Array> {
  for (const [field, value] of records(bytes)) {
    if (field === wanted && typeof value !== 'number') yield value;
  }
}

/** The fields of a protobuf message (protobuf.dev/programming-guides/encoding). */
function* records(bytes: Uint8Array): Iterable<[number, number | Uint8Array]> {
  for (let at = 0; at < bytes.length;) {
    const [key, begin] = varint(bytes, at);
    const [value, end] = varint(bytes, begin);
    switch (key & 7) {
      case 0:
        yield [key >> 3, value];
        at = end;
        break;
      case 1:
        at = begin + 8;
        break;
      case 2:
        yield [key >> 3, bytes.subarray(end, end + value)];
        at = end + value;
        break;
      case 5:
        at = begin + 4;
        break;
      default:
        throw new Error(`no field begins at byte ${at}`);
    }
  }
}

/** A number and where it ends. */
function varint(bytes: Uint8Array, at: number): [number, number] {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at] ?? 0;
    at += 1;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
  }
}
