/** A house with a spirit box behind a password, and what its voice and ear are asked by hand. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { chromium, type Browser, type Page } from '@playwright/test';

/** German by SVOX Pico, whose speech is understood far better than espeak-ng's. */
const VOICES = 'hibari,pico';
export const PASSWORD = 'correct horse battery staple';

const root = resolve(__dirname, '../..');
const program = join(root, 'target/debug/parlour');
const address = '127.0.0.1:18081';
const house = `http://${address}`;
const scratch = join(root, `test-results/spirits-${process.pid}`);

let server: ChildProcess | undefined;

/** Runs the program to its end; gives what it printed. */
function parlour(args: string[], input = ''): string {
  return execFileSync(program, args, {
    input,
    cwd: root,
    encoding: 'utf8',
  }).trim();
}

export async function openHouse(): Promise<void> {
  mkdirSync(scratch, { recursive: true });
  const hash = parlour(['gate', 'hash'], `${PASSWORD}\n`);
  server = spawn(program, ['serve'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      PARLOUR_BIND: address,
      PARLOUR_DATA: join(scratch, 'data'),
      PARLOUR_PASSWORD: hash,
      PARLOUR_SPEECH: 'true',
      PARLOUR_VOICES: VOICES,
    },
  });
  const ended = new Promise<never>((_, reject) => {
    server?.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const ready = async (): Promise<void> => {
    for (;;) {
      const answer = await fetch(`${house}/health/ready`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((again) => setTimeout(again, 200));
    }
  };
  await Promise.race([ready(), ended]);
}

export async function closeHouse(): Promise<void> {
  const gone = new Promise((done) => server?.once('exit', done));
  server?.kill('SIGTERM');
  await gone;
  rmSync(scratch, { recursive: true, force: true });
}

/** 16 bits, one channel. */
function wav(samples: Int16Array, rate: number): Buffer {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + 2 * samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(2 * samples.length, 40);
  return Buffer.concat([head, Buffer.from(samples.buffer, samples.byteOffset, 2 * samples.length)]);
}

/** A recording of somebody who says this after so many seconds of silence. */
export function recording(text: string, language: string, silence = 8): string {
  const path = join(scratch, `${language}.wav`);
  const voices = ['--voices', VOICES];
  parlour(['voice', ...voices, 'say', text, '--language', language, '--out', path]);
  const file = readFileSync(path);
  const rate = file.readUInt32LE(24);
  const at = file.indexOf('data') + 8;
  const said = new Int16Array(
    file.buffer.slice(file.byteOffset + at, file.byteOffset + file.length),
  );
  const samples = new Int16Array(rate * silence + said.length);
  samples.set(said, rate * silence);
  writeFileSync(path, wav(samples, rate));
  return path;
}

/** What is said in these samples. */
export function transcript(samples: Int16Array, rate: number): string {
  const path = join(scratch, 'heard.wav');
  writeFileSync(path, wav(samples, rate));
  return parlour(['voice', 'hear', path, '--languages', 'en']);
}

/** A browser whose microphone hears this file once. */
export async function browserWith(microphone: string | null): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['PARLOUR_CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--autoplay-policy=no-user-gesture-required',
      ...(microphone
        ? [
            '--use-fake-ui-for-media-stream',
            '--use-fake-device-for-media-stream',
            `--use-file-for-fake-audio-capture=${microphone}%noloop`,
          ]
        : []),
    ],
  });
}

/** Keeps what the page sends to the loudspeaker: `window.heard`, at `window.heardRate`. */
export async function listenTo(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const kept: number[] = [];
    Object.assign(window, { heard: kept });
    const connect = AudioNode.prototype.connect as (...rest: unknown[]) => unknown;
    AudioNode.prototype.connect = function (this: AudioNode, ...rest: unknown[]) {
      if (rest[0] instanceof AudioDestinationNode) {
        const context = this.context as AudioContext;
        Object.assign(window, { heardRate: context.sampleRate });
        const tap = context.createScriptProcessor(4096, 1, 1);
        tap.onaudioprocess = ({ inputBuffer }) => {
          for (const sample of inputBuffer.getChannelData(0)) kept.push(sample);
        };
        connect.call(this, tap);
        connect.call(tap, context.destination);
      }
      return connect.apply(this, rest);
    } as typeof AudioNode.prototype.connect;
  });
}

/** What was heard so far. */
export async function heard(page: Page): Promise<{ samples: Int16Array; rate: number }> {
  const { samples, rate } = await page.evaluate(() => {
    const kept = window as unknown as { heard: number[]; heardRate: number };
    const toWhole = (sample: number) => Math.max(-32768, Math.min(32767, sample * 32768));
    return {
      samples: kept.heard.map(toWhole).map(Math.round),
      rate: kept.heardRate,
    };
  });
  return { samples: Int16Array.from(samples), rate };
}

export const url = (search = ''): string => `${house}/spirit-box${search}`;
