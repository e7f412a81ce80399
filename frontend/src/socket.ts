import type { Socket } from './connection';

/** The browser's WebSocket in the shape that the connection asks for. */
export function openSocket(url: string): Socket {
  const real = new WebSocket(url);
  real.binaryType = 'arraybuffer';
  const socket: Socket = {
    onopen: null,
    onmessage: null,
    onclose: null,
    send: (data) => real.send(data),
    close: () => real.close(),
  };
  real.onopen = () => socket.onopen?.();
  real.onmessage = ({ data }) => socket.onmessage?.({ data: data as unknown });
  real.onclose = ({ code }) => socket.onclose?.({ code });
  return socket;
}
