"""A fan-out server on Python's `websockets`, as its documentation writes one. The texts that
it speaks are described in src/bench/rooms/fanout.rs."""

import asyncio
from collections import defaultdict

import websockets
from websockets.asyncio.server import broadcast, serve

rooms = defaultdict(set)


async def member(socket):
    room = None
    try:
        async for text in socket:
            what, _, rest = text.partition(" ")
            if what == "join":
                room = rest
                rooms[room].add(socket)
                await socket.send("joined")
            elif what == "say":
                broadcast(rooms[room], rest)
    except websockets.ConnectionClosed:
        pass
    finally:
        if room is not None:
            rooms[room].discard(socket)


async def main():
    async with serve(
        member,
        "127.0.0.1",
        0,
        backlog=4096,
        compression=None,
        ping_interval=5,
        ping_timeout=15,
    ) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"ready on http://127.0.0.1:{port}", flush=True)
        await server.wait_closed()


asyncio.run(main())
