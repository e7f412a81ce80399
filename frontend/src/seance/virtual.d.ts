/** Where the weights of the voice activity network lie: see dev/silero.ts. */
declare module 'virtual:silero' {
  const url: string;
  export default url;
}
