"""A good server for the stage `protocol`, on asyncio's streams: protocol_asyncio.py PORT [LIMIT=NUMBER...]."""

import asyncio
import sys

from protocol_rules import LIMITS, Chat, Client, Lines, read_limits

QUEUE = 1_000_000  # bytes


def client_of(writer: asyncio.StreamWriter) -> Client:
    def write(data: bytes) -> None:
        if writer.transport.get_write_buffer_size() > QUEUE:
            writer.transport.abort()
        elif not writer.is_closing():
            writer.write(data)

    return Client(write, writer.close)


async def visit(chat: Chat, reader: asyncio.StreamReader, writer) -> None:
    client, lines, asked = client_of(writer), Lines(), False
    try:
        while not client.ended:
            limit = LIMITS["ping_timeout"] if asked else LIMITS["ping_after"]
            try:
                chunk = await asyncio.wait_for(reader.read(65_536), limit)
            except TimeoutError:
                chat.silent(client, asked)
                asked = True
                continue
            asked = False
            for line in lines.feed(chunk) if chunk else lines.end():
                chat.receive(client, line)
            if not chunk:
                break
            await writer.drain()
    except OSError:
        pass
    finally:
        chat.lost(client)
        writer.close()


async def main(port: int) -> None:
    chat = Chat(asyncio.get_running_loop().call_later)
    server = await asyncio.start_server(
        lambda *streams: visit(chat, *streams), "127.0.0.1", port, backlog=200
    )
    await server.serve_forever()


read_limits(sys.argv[2:])
asyncio.run(main(int(sys.argv[1])))
