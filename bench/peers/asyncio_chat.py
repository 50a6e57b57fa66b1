"""A chat with asyncio, the ordinary way: one `writer.write` for each message and each receiver.

`--uvloop` runs the same program on uvloop. `--echo` is the plain echo server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from .rooms import Deliveries, Rooms, User

SLOW = 4 * 1024 * 1024  # bytes queued for one that does not read, before it is dropped


def deliver(deliveries: Deliveries) -> None:
    for users, data in deliveries:
        for user in users:
            transport = user.port.transport
            if transport.is_closing():
                continue
            user.port.write(data)
            if transport.get_write_buffer_size() > SLOW:
                transport.abort()


async def chat(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rooms: Rooms
) -> None:
    user = User(writer)
    try:
        while line := await reader.readline():
            deliver(rooms.line(user, line))
            await writer.drain()  # who does not read what he gets may not say more
    except (ConnectionError, ValueError):
        pass  # gone, or a line without end
    finally:
        deliver(rooms.leave(user))
        writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(host: str, port: int, only_echo: bool) -> None:
    rooms = Rooms()
    handler = echo if only_echo else lambda reader, writer: chat(reader, writer, rooms)
    server = await asyncio.start_server(handler, host, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(
        None, sys.stdin.read
    )  # until whoever started us is gone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--echo", action="store_true")
    args = parser.parse_args()
    factory = None
    if args.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(args.host, args.port, args.echo))


if __name__ == "__main__":
    main()
