"""`python_tcp.aio`: a chat client on asyncio. How it comes back is tested in `test_resume`, with the same tests as the threaded one."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import client_tls, server_tls
from helpers import LIMIT, LineClient, wait_until
from proxy import Proxy

from python_tcp import delivery, reconnector
from python_tcp.aio import AsyncChatClient, AsyncConversation
from python_tcp.chat_client import ChatError
from python_tcp.chat_server import ChatServer
from python_tcp.chat_session import Disconnected, Reconnected
from python_tcp.commands import ListUsers
from python_tcp.events import Goodbye, Message, Ok, UserList, Welcome
from python_tcp.protocol import Limits

HOST = "127.0.0.1"
FREE = Limits(flood_burst=0, connections_per_address=0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 4 * LIMIT))


async def code_of(work: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(ChatError) as caught:
        await work
    return caught.value.error.code


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(limits=FREE) as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reconnector, "backoff_delays", lambda: delivery.backoff_delays(0.01, 0.1)
    )


def test_what_happens_comes_in_order_and_ends_with_the_goodbye(
    server: ChatServer,
) -> None:
    async def talk() -> list[object]:
        async with AsyncChatClient("ann", HOST, server.port) as ann:
            assert await ann.send_message("one") == 1
            assert await ann.send_message("two", room="LOBBY") == 2
        assert [event async for event in ann][-1:] == [ann.goodbye]
        assert [event async for event in ann] == []  # a second time
        return [event async for event in ann]

    assert run(talk()) == []
    assert server.users == []


def test_the_events_of_a_short_visit(server: ChatServer) -> None:
    async def talk() -> list[type]:
        async with AsyncChatClient("ann", HOST, server.port) as ann:
            await ann.send_message("one")
        return [type(event) async for event in ann]

    assert run(talk()) == [Welcome, UserList, Message, Ok, Goodbye]


def test_each_refusal_has_its_code(server: ChatServer) -> None:
    async def talk() -> list[str]:
        async with AsyncChatClient("ann", HOST, server.port) as ann:
            codes = [
                await code_of(ann.send_message("x", room="attic")),
                await code_of(ann.send_message("x" * 5000)),
                await code_of(ann.send_message("\ud83d")),
                await code_of(ann.whisper("nobody", "x")),
                await code_of(ann.join("no room")),
                await code_of(AsyncChatClient("ann", HOST, server.port).__aenter__()),
            ]
        return [*codes, await code_of(ann.send_message("x"))]

    assert run(talk()) == [
        "not_joined", "too_long", "bad_utf8", "no_such_user", "bad_room", "name_taken",
        "not_connected",
    ]  # fmt: skip


def test_nobody_there_and_a_server_that_never_answers(reserved_port: int) -> None:
    async def talk() -> list[str]:
        with socket.create_server((HOST, reserved_port)):
            mute = AsyncChatClient("ann", HOST, reserved_port, timeout=0.2)
            codes = [await code_of(mute.__aenter__())]
        nobody = AsyncChatClient("ann", HOST, reserved_port, timeout=5)
        codes.append(await code_of(nobody.__aenter__()))
        assert len(asyncio.all_tasks()) == 2, "this one, and that of wait_for"
        return codes

    assert run(talk()) == ["no_answer", "not_connected"]


def test_a_message_is_confirmed_over_another_connection(server: ChatServer) -> None:
    async def talk() -> None:
        with Proxy((HOST, server.port)) as proxy:
            async with AsyncChatClient("ann", HOST, proxy.port) as ann:
                proxy.refuse()
                async for event in ann:
                    if isinstance(event, Disconnected):
                        break
                saying = asyncio.create_task(ann.send_message("said while cut off"))
                await asyncio.sleep(0)
                assert not saying.done() and ann.unsent == 1
                proxy.heal()
                assert await saying == 1
                async for event in ann:
                    if isinstance(event, Reconnected):
                        break

    run(talk())


def test_who_waits_for_an_answer_hears_that_the_conversation_has_ended(
    server: ChatServer,
) -> None:
    async def talk() -> str:
        with Proxy((HOST, server.port)) as proxy:
            pings = {"ping_after": 0.1, "ping_timeout": 0.1}
            ann = AsyncChatClient("ann", HOST, proxy.port, patience=0.0, **pings)
            async with ann:
                proxy.stall()
                saying = asyncio.create_task(code_of(ann.send_message("never")))
                return await saying

    assert run(talk()) == "connection_lost"


def test_events_that_nobody_reads_are_bounded(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AsyncConversation, "MOST_EVENTS", 50)

    async def talk() -> list[object]:
        async with AsyncChatClient("ann", HOST, server.port) as ann:
            with pytest.raises(ChatError, match="slow_consumer"):
                while True:
                    await ann.send_message("x")
        return [event async for event in ann]

    events = run(talk())
    assert events[-1] == Goodbye("slow_consumer", "Nobody reads the events.", False)
    assert 50 <= len(events) <= 60


def test_many_wait_at_once_and_a_wait_may_be_cancelled(server: ChatServer) -> None:
    async def talk() -> None:
        async with AsyncChatClient("ann", HOST, server.port) as ann:
            said = [ann.send_message(f"{number}") for number in range(100)]
            assert await asyncio.gather(*said) == list(range(1, 101))
            lost = asyncio.create_task(ann.send_message("who cancels is not told"))
            await asyncio.sleep(0)
            lost.cancel()
            assert await ann.send_message("the next") == 102
            assert await ann.wait_until(lambda: ann.unsent == 0)

    run(talk())


def test_other_commands_are_said_without_waiting(server: ChatServer) -> None:
    async def talk() -> None:
        async with AsyncChatClient("ann", HOST, server.port) as ann:
            ann.say(ListUsers("lobby"))
            lists = 0
            async for event in ann:
                lists += isinstance(event, UserList)
                if lists == 2:
                    break
        with pytest.raises(ChatError, match="not connected"):
            ann.say(ListUsers())

    run(talk())


def test_over_tls(server: ChatServer) -> None:
    async def talk(port: int) -> int | None:
        context = client_tls().context
        async with AsyncChatClient("ann", "localhost", port, tls=context) as ann:
            return await ann.send_message("in private")

    with ChatServer(tls=server_tls()) as private:
        assert run(talk(private.port)) == 1


def test_a_server_that_says_nonsense_is_survived(server: ChatServer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"nonsense\n[]\n" + b"\xff\n" + b'{"type":"welcome"}\n')
        writer.write(b'{"type":"ok","id":{}}\n{"type":"goodbye","code":"idle",')
        writer.write(b'"content":"Bye.","reconnect":false}\n')
        await writer.drain()
        writer.close()

    async def talk() -> str:
        async with await asyncio.start_server(serve, HOST, 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await code_of(AsyncChatClient("ann", HOST, port).__aenter__())

    assert run(talk()) == "idle"


def started(server: ChatServer) -> bool:
    try:
        return bool(server.start())
    except OSError:  # a connection of the last one is not gone yet
        return False


def test_a_bot_answers_over_a_restart(tmp_path: Path, reserved_port: int) -> None:
    async def bot(port: int) -> None:
        async with AsyncChatClient("bot", HOST, port, room="dev") as chat:
            await chat.join("lobby")
            async for event in chat:
                if isinstance(event, Message) and event.content == "ping":
                    await chat.send_message("pong", event.room)

    async def ask(port: int, name: str, room: str) -> None:
        def ask_and_hear() -> None:
            with LineClient(port).join(name, room) as ann:
                ann.say("message", content="ping")
                ann.read_until("message", content="pong", room=room)

        await asyncio.to_thread(ask_and_hear)

    async def talk() -> None:
        file, port = tmp_path / "chat.db", reserved_port
        first = ChatServer(HOST, port, limits=FREE, data=file)
        first.start()
        running = asyncio.create_task(bot(port))
        while "bot" not in first.users or len(first.rooms) < 2:
            await asyncio.sleep(0.01)
        await ask(port, "ann", "dev")
        await asyncio.to_thread(first.stop)
        second = ChatServer(HOST, port, limits=FREE, data=file)
        await asyncio.to_thread(wait_until, lambda: started(second))
        while len(second.rooms) < 2:
            await asyncio.sleep(0.01)
        await ask(port, "bob", "dev")
        await ask(port, "cyd", "lobby")
        running.cancel()
        await asyncio.wait([running])
        await asyncio.to_thread(second.stop)

    run(talk())
