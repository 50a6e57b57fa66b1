"""`python_tcp.aio_link`: one connection on asyncio, and what waits for answers and changes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from authority import client_tls, server_tls

from python_tcp.aio_link import AsyncLink, Attempts, Changes, PendingAnswers, open_link
from python_tcp.chat_client import ChatError
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import Disconnected
from python_tcp.commands import Ping
from python_tcp.events import Error, Event, Goodbye, Ok, Pong
from python_tcp.security import TLSError

HOST = "127.0.0.1"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def served(serve: Callable[..., Awaitable[object]]) -> asyncio.Server:
    return await asyncio.start_server(serve, HOST, 0)


def port_of(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]


async def everything(link: AsyncLink) -> list[Event]:
    return [event for batch in [b async for b in link.batches()] for event in batch]


def conversation(
    serve: Callable[..., Awaitable[object]], after: float = 5.0, timeout: float = 5.0
) -> tuple[list[Event], str]:
    """All events of a link to a server that does this, and why it has ended."""

    async def talk() -> tuple[list[Event], str]:
        async with await served(serve) as server:
            streams = await open_link(HOST, port_of(server), 5.0, None)
            link = AsyncLink(*streams, after, timeout)
            events = await everything(link)
            link.close()
            return events, link.close_reason

    return asyncio.run(asyncio.wait_for(talk(), 20))


def test_lines_arrive_however_they_are_cut() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b'{"type":"pong","id":1}\nnonsense\n\xff\n{"type":"pong","id":2}\n':
            writer.write(bytes([byte]))
            await writer.drain()
        writer.close()

    assert conversation(serve) == ([Pong(1), Pong(2)], "closed by peer")


def test_a_ping_is_answered() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"type":"ping","id":"there?"}\n')
        heard.append(await reader.readline())
        writer.close()

    assert conversation(serve)[0] == [Ping("there?")]
    assert heard == [b'{"type":"pong","id":"there?"}\n']


def test_a_server_that_is_silent_is_asked_and_given_up() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    assert conversation(serve, 0.05, 0.05) == ([], "the server does not answer")
    assert heard == [b'{"type":"ping"}\n']


def test_a_reset_is_a_reason_and_no_exception() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def talk() -> str:
        async with await served(serve) as server:
            streams = await open_link(HOST, port_of(server), 5.0, None)
            link = AsyncLink(*streams, 5.0, 5.0)
            link.send(Ping())
            assert await everything(link) == []
            link.close()
            return link.close_reason

    assert "reset" in asyncio.run(asyncio.wait_for(talk(), 20)).lower()


def test_nobody_there_is_one_sentence(reserved_port: int) -> None:
    wrong = f"can't connect to {HOST} port {reserved_port}"
    with pytest.raises(OSError, match=wrong):
        asyncio.run(open_link(HOST, reserved_port, 5.0, None))


def test_over_tls_the_name_and_the_authority_are_checked() -> None:
    context = client_tls().context

    async def enter(port: int) -> None:
        _, writer = await open_link("localhost", port, 5.0, context)
        assert writer.get_extra_info("ssl_object").version() >= "TLSv1.2"
        writer.close()

    with ChatServer(tls=server_tls()) as server:
        asyncio.run(enter(server.port))
    with ChatServer() as server, pytest.raises(TLSError, match="localhost"):
        asyncio.run(enter(server.port))  # clear text


def test_answers_find_those_who_wait_for_them() -> None:
    async def wait() -> list[object]:
        pending = PendingAnswers()
        ids = ["a", 1, 2]
        tasks = [asyncio.create_task(pending.wait_for(id)) for id in ids]
        await asyncio.sleep(0)
        pending.settle(Ok(1, 17))
        pending.settle(Ok(1, 18))  # once more: nobody waits any more
        pending.settle(Ok(99, 1))
        pending.settle(Error("bad", "no", 2))
        pending.fail(Error("left", "gone"))
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(wait())
    assert isinstance(first, ChatError) and first.error.code == "left"
    assert second == 17
    assert isinstance(third, ChatError) and third.error.code == "bad"


def test_a_change_wakes_all_and_a_wait_is_bounded() -> None:
    async def wait() -> tuple[list[object], int]:
        changes, seen = Changes(), []

        async def one(number: int) -> None:
            await changes.wait_until(lambda: len(seen) >= number, 60)
            seen.append(number)

        tasks = [asyncio.create_task(one(number)) for number in (2, 1, 0)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            changes.note()
        await changes.wait_until(lambda: False, 0.01)
        return seen, len(asyncio.all_tasks())

    assert asyncio.run(wait()) == ([0, 1, 2], 1)


def test_attempts_go_on_until_there_is_a_link() -> None:
    tries = iter([OSError("no"), TLSError("cut"), "a link"])
    told: list[Disconnected] = []

    async def connect() -> AsyncLink:
        if isinstance(found := next(tries), Exception):
            raise found
        return found  # type: ignore[return-value]

    lost = Goodbye("idle", "Too quiet.", True, 0.0)
    attempts = Attempts(connect, 60.0)
    found = asyncio.run(attempts.again(lost, told.append))
    assert found == "a link"
    assert [each.reason for each in told] == ["Too quiet.", "No.", "Cut."]


def test_who_is_not_trusted_any_more_is_not_tried_again() -> None:
    async def connect() -> AsyncLink:
        raise TLSError("another certificate", "changed_pin")

    told: list[Disconnected] = []
    lost = Goodbye("idle", "Too quiet.", True, 0.0)
    assert asyncio.run(Attempts(connect, 60.0).again(lost, told.append)) is None
    assert len(told) == 1
