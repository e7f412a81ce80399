/** The seed of a question: what a frame of the camera holds of red. No picture leaves the page. */
const WIDTH = 320;
const HEIGHT = 240;

/** The sum of all red values of an RGBA picture. */
export function redOf(pixels: Uint8ClampedArray): number {
  let sum = 0;
  for (let at = 0; at < pixels.length; at += 4) sum += pixels[at] ?? 0;
  return sum;
}

export class Camera {
  private constructor(
    private readonly stream: MediaStream,
    private readonly video: HTMLVideoElement,
  ) {}

  /** Asks for the camera. Throws what the browser throws when it is not given. */
  static async open(): Promise<Camera> {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: { width: WIDTH, height: HEIGHT },
    });
    const video = document.createElement('video');
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    await video.play();
    return new Camera(stream, video);
  }

  /** The seed of what it sees now; null where nothing can be seen. */
  seed(): number | null {
    const canvas = document.createElement('canvas');
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    context.drawImage(this.video, 0, 0, WIDTH, HEIGHT);
    return redOf(context.getImageData(0, 0, WIDTH, HEIGHT).data);
  }

  close(): void {
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}
