"""The client on asyncio behind the calls of the one with threads, so that the same tests run on both."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from helpers import LIMIT, wait_until

from python_tcp.aio import AsyncChatClient
from python_tcp.chat_client import ChatError
from python_tcp.chat_session import ClientEvent
from python_tcp.chat_view import line_of
from python_tcp.commands import Command, ListUsers, SetStatus
from python_tcp.events import Error, Goodbye, Message
from python_tcp.security import ClientTLS


class LoopThread:
    """An event loop of asyncio on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(4 * LIMIT)

    def close(self) -> None:
        async def end_all() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_default_executor()

        self.run(end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class AsyncPerson:
    """An `AsyncChatClient` that keeps what it is told. Each call may be made from any thread."""

    def __init__(
        self, name: str, loop: LoopThread, tls: ClientTLS | None = None, **options: Any
    ) -> None:
        self._loop, self._tls, self._options = loop, tls, options
        self._name, self._chat = name, AsyncChatClient(name)
        self._error: Error | None = None
        self._sending: set[asyncio.Task[object]] = set()
        self.events: list[ClientEvent] = []
        self.lines: list[str] = []
        self.set_event_callback(self.events.append)

    def set_event_callback(self, callback: Callable[[ClientEvent], object]) -> None:
        self._on_event = callback

    @property
    def username(self) -> str:
        return self._chat.username

    @property
    def connected(self) -> bool:
        return self._chat.connected

    @property
    def unsent(self) -> int:
        return self._chat.unsent

    @property
    def goodbye(self) -> Goodbye | None:
        return self._chat.goodbye

    @property
    def rooms(self) -> dict[str, list[str]]:
        return self._chat.rooms

    @property
    def users(self) -> list[str]:
        return next(reversed(self.rooms.values()), [])

    @property
    def error(self) -> Error | None:
        refused = self.told(Error)
        return self._error or (refused[-1] if refused else None)

    def told(self, *kinds: type) -> list[Any]:
        return [event for event in list(self.events) if isinstance(event, kinds)]

    def told_in(self, room: str = "lobby") -> list[tuple[int, str]]:
        messages = (event for event in self.told(Message) if event.room == room)
        return [(event.seq, event.content) for event in messages]

    def connect(self, host: str, port: int) -> bool:
        async def begin() -> None:
            context = self._tls and self._tls.context
            self._chat = AsyncChatClient(
                self._name, host, port, room=None, tls=context, **self._options
            )
            await self._chat.connect()
            self._reading = asyncio.create_task(self._read())

        return self._done(begin())

    async def _read(self) -> None:
        async for event in self._chat:
            self._on_event(event)
            if (line := line_of(event, self.username)) is not None:
                self.lines.append(line.plain())

    def join(self, room: str = "lobby") -> bool:
        return self._done(self._chat.join(room))

    def send_message(self, content: str, room: str | None = None) -> bool:
        return self._begun(self._chat.send_message(content, room))

    def whisper(self, to: str, content: str) -> bool:
        return self._begun(self._chat.whisper(to, content))

    def set_status(self, status: str) -> bool:
        return self._say(SetStatus(status))

    def leave(self, timeout: float | None = None) -> bool:
        was_connected = self.connected

        async def end() -> None:
            await self._chat.leave(timeout)
            if hasattr(self, "_reading"):
                await self._reading

        self._done(end())
        return was_connected

    def wait_until(
        self, condition: Callable[[], object], timeout: float = LIMIT
    ) -> bool:
        wait_until(condition, timeout)
        return True

    def ask_users(self) -> bool:
        return self._say(ListUsers(next(reversed(self.rooms), None)))

    def _say(self, command: Command) -> bool:
        async def say() -> None:
            self._chat.say(command)

        return self._done(say())

    def _begun(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Begin to say something; who waits for the answer is a task. False if it failed at once."""

        async def begin() -> None:
            task = asyncio.create_task(work)
            self._sending.add(task)  # a loop keeps only weak references
            task.add_done_callback(self._sending.discard)
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.sleep(0)
            if task.done():
                task.result()

        return self._done(begin())

    def _done(self, work: Coroutine[Any, Any, Any]) -> bool:
        try:
            self._loop.run(work)
        except ChatError as error:
            self._error = error.error
            return False
        self._error = None
        return True
