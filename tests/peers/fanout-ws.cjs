// A fan-out server on Node's `ws`, as its documentation writes one. The texts that it speaks
// are described in src/bench/rooms/fanout.rs.
'use strict';

const { createServer } = require('node:http');
const { WebSocketServer } = require('ws');

const rooms = new Map();
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });

server.on('connection', (socket) => {
  let room;
  socket.isAlive = true;
  socket.on('error', () => {});
  socket.on('pong', () => {
    socket.isAlive = true;
  });
  socket.on('message', (data) => {
    const text = data.toString();
    const space = text.indexOf(' ');
    const rest = text.slice(space + 1);
    if (text.startsWith('join ')) {
      room = rooms.get(rest) ?? new Set();
      rooms.set(rest, room);
      room.add(socket);
      socket.send('joined');
    } else if (text.startsWith('say ') && room) {
      for (const member of room) {
        if (member.readyState === 1) member.send(rest);
      }
    }
  });
  socket.on('close', () => room?.delete(socket));
});

setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.isAlive) {
      socket.terminate();
      continue;
    }
    socket.isAlive = false;
    socket.ping();
  }
}, 5_000);

http.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(`ready on http://127.0.0.1:${http.address().port}`);
});
