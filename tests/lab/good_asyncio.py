"""A good server for each stage of the lab, on asyncio's streams: good_asyncio.py STAGE PORT."""

import asyncio
import contextlib
import json
import signal
import struct
import sys

LINE, OBJECT, FRAME, QUEUE = 4096, 65_536, 16_384, 4_000_000


async def lines(reader: asyncio.StreamReader, most: int):
    """Each line without its end; None for one that is too long."""
    data, skipping = b"", False
    while chunk := await reader.read(65_536):
        *whole, data = (data + chunk).split(b"\n")
        for line in whole:
            line = line.removesuffix(b"\r")
            if skipping:
                skipping = False
            else:
                yield None if len(line) > most else line
        if len(data) > most + 1:
            if not skipping:
                yield None
            data, skipping = b"", True


async def echo(reader, writer) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def count(reader, writer) -> None:
    async for line in lines(reader, LINE):
        answer = b"too long\n" if line is None else b"%d %s\n" % (len(line), line)
        writer.write(answer)
        await writer.drain()


async def length(reader, writer) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            if size > FRAME:
                return
            frame = await reader.readexactly(size)
            writer.write(struct.pack("!I", size) + frame[::-1])
            await writer.drain()


class Members:
    """Writers by name; who does not read is dropped."""

    def __init__(self) -> None:
        self.writers: dict[str, asyncio.StreamWriter] = {}

    def tell(self, data: bytes, *names: str) -> None:
        for name in names or list(self.writers):
            writer = self.writers[name]
            if writer.transport.get_write_buffer_size() > QUEUE:
                writer.transport.abort()
            else:
                writer.write(data)


room = Members()


async def chat(reader, writer) -> None:
    name = ""
    writer.write(b"NICK\n")
    try:
        async for line in lines(reader, LINE):
            if line is None:
                writer.write(b"* too long\n")
                continue
            text = line.decode(errors="replace")
            if not name:
                if not text or text in room.writers:
                    writer.write(f"* {text} is taken\n".encode())
                    continue
                name = text
                room.writers[name] = writer
                room.tell(f"* {name} joined\n".encode())
            elif text.startswith("/"):
                command(name, writer, text)
            else:
                room.tell(f"{name}: {text}\n".encode())
    finally:
        if name:
            del room.writers[name]
            room.tell(f"* {name} left\n".encode())


def command(name: str, writer, text: str) -> None:
    match text.split(" ", 2):
        case ["/users"]:
            writer.write(f"* users: {', '.join(sorted(room.writers))}\n".encode())
        case ["/whisper", to, said] if to in room.writers:
            room.tell(f"{name} whispers: {said}\n".encode(), to)
            writer.write(f"* whispered to {to}\n".encode())
        case ["/whisper", to, _]:
            writer.write(f"* nobody is called {to}\n".encode())
        case _:
            writer.write(b"* unknown command\n")


rooms: dict[asyncio.StreamWriter, tuple[str, str]] = {}


def pack(kind: str, **payload: str) -> bytes:
    return json.dumps({"type": kind, "payload": payload}).encode() + b"\n"


def tell_room(where: str, data: bytes) -> None:
    for writer, (_, there) in list(rooms.items()):
        if there == where:
            if writer.transport.get_write_buffer_size() > QUEUE:
                writer.transport.abort()
            else:
                writer.write(data)


def handle(writer, line: bytes | None) -> None:
    match json.loads(line or b""):
        case {"type": "connect", "payload": {"name": str(name), "room": str(where)}}:
            tell_room(where, pack("notification", room=where, text=f"{name} joined"))
            rooms[writer] = name, where
            writer.write(pack("connect_ack", name=name, room=where))
        case {"type": "message", "payload": {"text": str(text)}}:
            name, where = rooms[writer]
            tell_room(where, pack("message", sender=name, room=where, text=text))
        case _:
            raise ValueError("not a message")


async def connect(reader, writer) -> None:
    try:
        async for line in lines(reader, OBJECT):
            try:
                handle(writer, line)
            except (ValueError, KeyError, RecursionError):
                writer.write(pack("error", text="expected a message"))
    finally:
        name, where = rooms.pop(writer, ("", ""))
        if name:
            tell_room(where, pack("notification", room=where, text=f"{name} left"))


STAGES = {"echo": echo, "lines": count, "length": length, "connect": connect}


async def main(stage: str, port: int) -> None:
    async def visit(reader, writer) -> None:
        try:
            await STAGES.get(stage, chat)(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    server = await asyncio.start_server(visit, "127.0.0.1", port, backlog=200)
    await ending.wait()
    server.close()
    room.tell(b"* server closes\n")
    for writer in list(room.writers.values()):
        writer.close()
    await asyncio.sleep(0.05)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
