/** What a worklet's own scope has, as far as ours use it (Web Audio API 1.1). */
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;
