"""Answers to the exercises of the chapter chat_client."""

import threading
from collections.abc import Callable
from typing import Any

from exercises import right, wrong

from python_tcp.chat_client import ChatClient
from python_tcp.events import Message, WhisperReceived

Clock = Callable[[], str]


def _asked(client: ChatClient, event: object) -> bool:
    if not isinstance(event, Message) or event.username == client.username:
        return False
    return event.content.split()[:1] == ["!time"]


@wrong("check_bot", "!timetable", seconds=2)
def any_beginning(client: ChatClient, clock: Clock) -> None:
    def hear(event: Any) -> None:
        if isinstance(event, Message) and event.username != client.username:
            if event.content.startswith("!time"):
                client.send_message(clock())

    client.set_event_callback(hear)


@wrong("check_bot", "the bot says", seconds=2)
def always_in_one_room(client: ChatClient, clock: Clock) -> None:
    client.set_event_callback(
        lambda event: _asked(client, event) and client.send_message(clock())
    )


@wrong("check_bot", "the bot says", seconds=2)
def answers_itself(client: ChatClient, clock: Clock) -> None:
    def hear(event: Any) -> None:
        if isinstance(event, Message) and event.content.split()[:1] == ["!time"]:
            client.join(event.room)
            client.send_message(clock())

    client.set_event_callback(hear)


@wrong("check_bot", "the bot says", seconds=2)
def only_the_bare_word(client: ChatClient, clock: Clock) -> None:
    def hear(event: Any) -> None:
        if _asked(client, event) and event.content == "!time":
            client.join(event.room)
            client.send_message(clock())

    client.set_event_callback(hear)


@wrong("check_bot", "the bot says", seconds=2)
def does_nothing(client: ChatClient, clock: Clock) -> None:
    client.set_event_callback(lambda event: None)


@right("check_bot", seconds=2)
def joins_and_says(client: ChatClient, clock: Clock) -> None:
    def hear(event: Any) -> None:
        if _asked(client, event):
            client.join(event.room)
            client.send_message(clock())

    client.set_event_callback(hear)


@right("check_bot", seconds=2)
def in_a_class(client: ChatClient, clock: Clock) -> None:
    class Bot:
        def __call__(self, event: Any) -> None:
            match event:
                case Message(username=name, content=text, room=room):
                    word = text.partition(" ")[0]
                    if name != client.username and word == "!time":
                        client.join(room)
                        client.send_message(clock())

    client.set_event_callback(Bot())


@wrong("check_ask", "ask(ann, ", seconds=2)
def anybody(client: ChatClient, name: str, question: str) -> str | None:
    heard: list[str] = []
    client.set_event_callback(
        lambda event: isinstance(event, WhisperReceived) and heard.append(event.content)
    )
    client.whisper(name, question)
    client.wait_until(lambda: heard)
    return heard[0] if heard else None


@wrong("check_ask", "ask(ann, 'polly', 'again')", seconds=3)
def with_capitals(client: ChatClient, name: str, question: str) -> str | None:
    heard: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, WhisperReceived) and event.username == name:
            heard.append(event.content)

    client.set_event_callback(hear)
    client.whisper(name, question)
    client.wait_until(lambda: heard)
    return heard[0] if heard else None


@wrong("check_ask", "ask(ann, 'Polly', 'hello')")
def does_not_wait(client: ChatClient, name: str, question: str) -> str | None:
    client.whisper(name, question)
    return None


@wrong("check_ask", "ask(ann, 'nobody', 'hm?')", seconds=3)
def empty_text(client: ChatClient, name: str, question: str) -> str:
    return with_an_event(client, name, question) or ""


@wrong("check_ask", "ask(ann, 'rude', 'please?')", seconds=3)
def the_last_one(client: ChatClient, name: str, question: str) -> str | None:
    heard = _answers(client, name)
    client.whisper(name, question)
    client.wait_until(lambda: len(heard) > 1 or (heard and name != "rude"))
    return heard[-1] if heard else None


def _answers(client: ChatClient, name: str) -> list[str]:
    asked, heard = list[object](), list[str]()

    def hear(event: Any) -> None:
        if isinstance(event, WhisperReceived):
            if event.username == client.username:
                asked.append(event)
            elif asked and event.username.casefold() == name.casefold():
                heard.append(event.content)

    client.set_event_callback(hear)
    return heard


@right("check_ask", seconds=3)
def first_of_a_list(client: ChatClient, name: str, question: str) -> str | None:
    heard = _answers(client, name)
    client.whisper(name, question)
    client.wait_until(lambda: bool(heard))
    return next(iter(heard), None)


@right("check_ask", seconds=3)
def with_an_event(client: ChatClient, name: str, question: str) -> str | None:
    came, state = threading.Event(), {"asked": False, "answer": None}

    def hear(event: Any) -> None:
        match event:
            case WhisperReceived(username=who, content=text):
                if who == client.username and text == question:
                    state["asked"] = True
                elif state["asked"] and who.lower() == name.lower():
                    if not came.is_set():
                        state["answer"] = text
                    came.set()

    client.set_event_callback(hear)
    client.whisper(name, question)
    came.wait(client.timeout)
    return state["answer"]
