import type { Socket } from './connection';

/** The browser's WebSocket in the shape that the connection asks for. */
export function openSocket(url: string): Socket {
  const real = new WebSocket(url);
  const socket: Socket = {
    onopen: null,
    onmessage: null,
    onclose: null,
    send: (text) => real.send(text),
    close: () => real.close(),
  };
  real.onopen = () => socket.onopen?.();
  real.onmessage = ({ data }) => socket.onmessage?.({ data: data as unknown });
  real.onclose = ({ code }) => socket.onclose?.({ code });
  return socket;
}
