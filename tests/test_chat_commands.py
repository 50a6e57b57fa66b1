"""`chat_server` and `chat_client` as real processes, on pipes and on terminals."""

import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from waiting import ENDINGS, LIMIT
from helpers import LineClient, Program, wait_until

from python_tcp import chat_app
from python_tcp.chat_app import ChatServer
from python_tcp.datafile import FILE_VERSION
from python_tcp.history import SQLiteStore
from python_tcp.protocol import Limits, Message

pytestmark = pytest.mark.slow  # it starts programs

CLIENT = (
    "import sys; from python_tcp.chat_app import start_client as main; sys.exit(main())"
)
posix = pytest.mark.skipif(
    os.name != "posix", reason="needs a POSIX shell and terminal"
)


@contextmanager
def chat_server(*arguments: object) -> Iterator[tuple[Program, int]]:
    """A real server, and its port."""
    with Program("start_server", "--port", 0, *arguments) as program:
        wait_until(lambda: program.lines)
        yield program, int(re.search(r":(\d+);", program.lines[0])[1])


def chat_client(port: int, name: str, *arguments: object, **options: int) -> Program:
    return Program(
        "start_client", "127.0.0.1", port, "--username", name, *arguments, **options
    )


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """In this process: for tests that are about the client."""
    with ChatServer(limits=Limits(flood_burst=0)) as server:
        yield server


@pytest.fixture
def run(server: ChatServer) -> Callable[..., subprocess.CompletedProcess]:
    """`run(input, *arguments)`: chat_client from start to end, on pipes."""

    def run(text: str, *arguments: object) -> subprocess.CompletedProcess:
        command = [
            sys.executable,
            "-c",
            CLIENT,
            *(arguments or ["127.0.0.1", server.port, "--username", "ann"]),
        ]
        command = [part if isinstance(part, bytes) else str(part) for part in command]
        return subprocess.run(
            command,
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=60,
        )

    return run


def output(finished: subprocess.CompletedProcess) -> list[str]:
    assert finished.stderr == b""
    return finished.stdout.decode().splitlines()


def one_line(errors: str | bytes | list[str], *parts: str) -> bool:
    """Is it one line of the program's own, with these parts?"""
    if isinstance(errors, list):
        errors = "".join(line + "\n" for line in errors)
    text = errors if isinstance(errors, str) else errors.decode()
    assert (
        text.endswith("\n")
        and text.count("\n") == 1
        and re.match("chat_(client|server): ", text)
    ), text
    assert all(part in text for part in parts), text
    return True


# --- three people and a server -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_people_chat_whisper_are_killed_and_are_told_of_the_end(
    tmp_path: Path,
) -> None:
    (config := tmp_path / "chat.toml").write_text(toml({}, {"resume_window": 0}))
    with (
        chat_server("--config", config) as (server, port),
        chat_client(port, "ann") as ann,
        chat_client(port, "bob") as bob,
        chat_client(port, "cy") as cy,
    ):
        for program in (ann, bob, cy):
            wait_until(
                lambda: any(line.startswith("* in lobby:") for line in program.lines)
            )
        ann.type("grüße 👋")
        bob.type("hi ann")
        bob.type("/whisper cy psst")
        bob.type("that is all")
        for program in (ann, bob, cy):
            program.expect("ann: grüße 👋")
            program.expect("bob: hi ann")
            program.expect("bob: that is all")
        assert (
            "(bob whispers) psst" in cy.lines
            and "(to cy) psst" in bob.lines
            and not any("psst" in line for line in ann.lines)
        )

        with chat_client(port, "ANN") as second:
            status, errors = second.end()
            assert status == 1 and one_line(errors, "taken")
            # Who was silent for five seconds is asked whether they are still there.
            assert all("Trying again" in line for line in second.lines)

        cy.process.kill()
        for program in (ann, bob):
            program.expect("* cy left lobby")
        with chat_client(port, "cy") as again:
            ann.expect("* cy joined lobby")
            again.type("/quit")
            assert again.end() == (0, [])

        start = time.monotonic()
        assert server.end(signal.SIGINT) == (0, [])
        assert time.monotonic() - start < LIMIT / 2
        for program in (ann, bob):
            wait_until(
                lambda: any(
                    re.fullmatch(
                        r"! The server is closing\. Trying again in \d+\.\d s\.", line
                    )
                    for line in program.lines
                )
            )
            assert program.end(signal.SIGINT) == (0, [])


@posix
@pytest.mark.usefixtures("hang_ups_are_heard")
@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_ends_the_server_with_status_0_and_the_clients_are_told(
    number: signal.Signals,
) -> None:
    with (
        chat_server() as (server, port),
        LineClient(port) as reader,
        LineClient(port) as silent,
    ):
        reader.join("ann")
        silent.join("bob", "dev")
        start = time.monotonic()
        server.process.send_signal(number)
        for client in (reader, silent):
            assert [event["code"] for event in client.read_all()] == ["server_closing"]
        assert server.end(number) == (0, [])  # impatient: again
        assert time.monotonic() - start < LIMIT / 2
        with pytest.raises(ConnectionRefusedError):
            LineClient(port)


@posix
def test_a_server_that_nohup_has_started_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup(1) does
    try:
        with chat_server() as (server, port):
            server.process.send_signal(signal.SIGHUP)
            with LineClient(port) as client:
                client.join("ann")
            assert server.end(signal.SIGTERM) == (0, [])
    finally:
        signal.signal(signal.SIGHUP, before)


@posix
def test_a_client_that_does_not_read_does_not_keep_the_server_from_ending(
    tmp_path: Path,
) -> None:
    (config := tmp_path / "chat.toml").write_text("[limits]\nflood_burst = 0\n")
    with (
        chat_server("--config", config) as (server, port),
        LineClient(port, limit=0.5) as stuck,
    ):
        stuck.join("ann")
        with suppress(TimeoutError):  # it hears itself, and does not read that
            stuck.send(
                (b'{"type": "message", "content": "' + b"x" * 4000 + b'"}\n') * 8000
            )
        start = time.monotonic()
        assert server.end(signal.SIGTERM) == (0, [])
        assert time.monotonic() - start < LIMIT / 2


@posix
@pytest.mark.usefixtures("hang_ups_are_heard")
@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_ends_the_client_with_status_0_and_the_others_hear_it(
    server: ChatServer, number: signal.Signals
) -> None:
    with chat_client(server.port, "ann") as ann:
        ann.expect("* in lobby: ann")
        assert ann.end(number) == (0, [])
    wait_until(lambda: server.users == [])  # it waits a second for the goodbye


@posix
@pytest.mark.parametrize("when", ["while joining", "while chatting"])
def test_a_signal_ends_the_client_even_if_the_server_is_stuck(when: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        chat_client(listener.getsockname()[1], "ann") as ann,
    ):
        listener.settimeout(60)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1000).startswith(b'{"type":"join"')
            if when == "while chatting":
                sock.sendall(
                    b'{"type":"welcome","username":"ann","room":"lobby","content":"Hi.","seq":0}\n{"type":"users","room":"lobby","users":["ann"]}\n'
                )
                ann.expect("* in lobby: ann")
            start = time.monotonic()
            assert ann.end(signal.SIGINT) == (0, [])
            assert time.monotonic() - start < LIMIT / 2


@pytest.mark.slow
def test_a_server_that_dies_is_said_in_a_line_and_the_client_comes_back_when_it_is_there_again(
    reserved_port: int,
) -> None:
    port = reserved_port
    with Program("start_server", "--port", port) as process:
        wait_until(lambda: process.lines)
        with chat_client(port, "ann") as ann:
            ann.expect("* in lobby: ann")
            process.end(signal.SIGKILL)
            wait_until(lambda: any("Trying again" in line for line in ann.lines))
            assert re.fullmatch(
                r"! The connection has ended: .+\. Trying again in \d+\.\d s\.",
                ann.lines[2],
            )
            ann.type("said while nobody was there")
            with Program("start_server", "--port", port):
                ann.expect("* The connection is back.")
                ann.expect("ann: said while nobody was there")
                assert not [
                    line
                    for line in ann.lines
                    if line.startswith("! ")
                    and "Trying again" not in line
                    and "started anew" not in line
                ]
                ann.type("/quit")
                assert ann.end() == (0, []) and ann.lines[-1] == "* Goodbye!"


# --- what can be typed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "hello\n/quit\n",
        "hello\n/exit\nnot said\n",
        "hello\n",
        "hello",
        "hello\r\n  /quit  \r\n",
        "\n  \nhello\n",
    ],
)
def test_lines_from_a_pipe_are_said_and_the_end_is_leaving(
    server: ChatServer, run: Callable, text: str
) -> None:
    finished = run(text)
    assert output(finished) == [
        "* Welcome to lobby, ann!",
        "* in lobby: ann",
        "ann: hello",
        "* Goodbye!",
    ]
    assert finished.returncode == 0
    wait_until(lambda: server.users == [])


def test_an_empty_input_joins_and_leaves(run: Callable) -> None:
    finished = run("")
    assert (
        output(finished)
        == ["* Welcome to lobby, ann!", "* in lobby: ann", "* Goodbye!"]
        and finished.returncode == 0
    )


@pytest.mark.slow
def test_five_thousand_lines_from_a_pipe_arrive_in_order(run: Callable) -> None:
    lines = [f"line {number}" for number in range(5000)]
    assert output(run("\n".join(lines)))[2:-1] == [f"ann: {line}" for line in lines]


def test_the_commands(server: ChatServer) -> None:
    with LineClient(server.port) as bob, chat_client(server.port, "ann") as ann:
        bob.join("bob")
        ann.expect("* in lobby: ann, bob")

        def typed(line: str, answer: str) -> None:
            before = len(ann.lines)
            ann.type(line)
            wait_until(lambda: len(ann.lines) > before)
            assert ann.lines[before:][:1] == [answer]

        typed("/users", "* in lobby: ann, bob")
        typed("/rooms", "* rooms: lobby (2)")
        typed("/whisper bob two  words ", "(to bob) two  words ")
        typed("/w bob again", "(to bob) again")
        assert bob.read_until("whisper")["content"] == "two  words "
        typed("/whisper dan x", "! dan is not here")
        typed("//text", "ann: /text")
        typed("/// x", "ann: // x")
        typed("/USERS", "* in lobby: ann, bob")
        typed(" /users", "* in lobby: ann, bob")
        typed("/join Dev", "* Welcome to dev, ann!")
        ann.expect("* in dev: ann")
        typed("/rooms", "* rooms: dev (1), lobby (2)")
        typed("only here", "ann: only here")
        ann.type("/join lobby")
        typed("back", "ann: back")
        assert [bob.read_until("message")["content"] for _ in range(3)] == [
            "/text",
            "// x",
            "back",
        ]
        typed("/join #x", "! `room`: expected 1 to 64 letters, digits or _ - .")
        for wrong, usage in {
            "/join": "/join ROOM",
            "/join a b": "/join ROOM",
            "/whisper": "/whisper NAME TEXT",
            "/whisper bob": "/whisper NAME TEXT",
            "/users now": "/users",
            "/rooms x": "/rooms",
            "/help a b": "/help [GROUP]",
        }.items():
            typed(wrong, f"! Usage: {usage}")
        typed("/help me", "! /help is followed by account or moderation, or by nothing")
        for unknown in ("/xyz", "/", "/ users", "/xyz and more"):
            typed(unknown, f"! {unknown.split()[0]} is not a command; see /help")
        typed("/user", "! /user is not a command; did you mean /users?")
        typed("x" * 4001, "! this is too long: 4001 characters, and 4000 is the most")
        typed(
            "x" * 20_000, "! this is too long: 20000 characters, and 4000 is the most"
        )
        typed("\x1b[2J", "! the control character U+001B can't be sent")
        typed("/help", f"* {'/help [GROUP]':18}  this list, or that of another group")
        for command in (
            "/users",
            "/whisper NAME TEXT",
            "/rooms",
            "/join ROOM",
            "/quit",
        ):
            start = f"* {command} "  # the list is printed line by line
            wait_until(lambda: any(line.startswith(start) for line in ann.lines))
        assert not any(line.startswith("* /clear") for line in ann.lines)
        typed("still here", "ann: still here")
        ann.type("/quit")
        assert ann.end() == (0, []) and ann.lines[-1] == "* Goodbye!"


def test_what_is_typed_after_joining_goes_there_whatever_failed_before(
    server: ChatServer, run: Callable
) -> None:
    with LineClient(server.port) as bob:
        bob.join("bob")
        run(
            "".join(
                f"/whisper nobody x\n/join room{number}\nsecret\n"
                for number in range(19)
            )
        )
        bob.say("message", content="end")
        assert bob.read_until("message")["content"] == "end", (
            "what was meant for another room was said here"
        )


def test_bytes_that_are_no_text_are_said_as_replacement_characters(
    run: Callable,
) -> None:
    assert "ann: a\ufffdb" in output(run("a\udcffb\n"))


def test_a_room_may_be_given(server: ChatServer, run: Callable) -> None:
    assert (
        output(
            run("hi\n", "127.0.0.1", server.port, "--username", "ann", "--room", "Dev")
        )[0]
        == "* Welcome to dev, ann!"
    )


def test_help_says_how_to_use_it(run: Callable) -> None:
    finished = run("", "--help")
    assert finished.returncode == 0 and all(
        part in finished.stdout.decode()
        for part in ("--username", "--room", "host", "port", "8000")
    )


# --- what can go wrong -------------------------------------------------------------------------------------------


def test_without_a_name_and_a_terminal_it_is_a_wrong_use(
    server: ChatServer, run: Callable
) -> None:
    finished = run("bob\n", "127.0.0.1", server.port)
    assert (
        finished.returncode == 2
        and one_line(finished.stderr, "--username")
        and finished.stdout == b""
    )


def test_an_empty_name_does_not_take_the_first_line_for_one(
    server: ChatServer, run: Callable
) -> None:
    finished = run("bob\n", "127.0.0.1", server.port, "--username", "")
    assert (
        finished.returncode in (1, 2)
        and one_line(finished.stderr)
        and finished.stdout == b""
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--username", "a b"],
        ["--username", b"a\xff"],
        ["--username", "ann", "--room", "#x"],
        ["--username", "ann", "--room", b"\xff"],
    ],
    ids=repr,
)
def test_a_name_that_is_not_allowed_is_one_line(
    server: ChatServer, run: Callable, arguments: list
) -> None:
    finished = run("hi\n", "127.0.0.1", server.port, *arguments)
    assert (
        finished.returncode in (1, 2)
        and one_line(finished.stderr)
        and finished.stdout == b""
    )


@pytest.mark.slow
@pytest.mark.parametrize("port", ["x", "-1", "65536", "1.5", "", "9" * 5000, "²"])
def test_a_port_that_is_none_is_a_wrong_use(run: Callable, port: str) -> None:
    finished = run("", "--username", "ann", "--", "127.0.0.1", port)
    assert finished.returncode == 2 and one_line(finished.stderr, "port")
    with Program("start_server", f"--port={port}") as server:
        status, errors = server.end()
        assert status == 2 and one_line(errors, "port")


def test_nobody_listening_is_one_line(run: Callable, reserved_port: int) -> None:
    port = reserved_port
    finished = run("hi\n", "127.0.0.1", port, "--username", "ann")
    assert (
        finished.returncode == 1
        and one_line(finished.stderr, f"127.0.0.1 port {port}", "refused")
        and finished.stdout == b""
    )


HOSTS = ["no.such.host.invalid", "x" * 70, "a..b", "", b"\xff"]


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_a_host_that_can_not_be_is_one_line_of_the_client(
    run: Callable, host: str | bytes
) -> None:
    finished = run("hi\n", host, 8000, "--username", "ann")
    assert finished.returncode == 1 and one_line(finished.stderr, "can't find")


@pytest.mark.parametrize("host", [*filter(None, HOSTS), "192.0.2.1"], ids=repr)
def test_a_host_that_can_not_be_is_one_line_of_the_server(host: str | bytes) -> None:
    with Program("start_server", "--port", 0, "--host", os.fsdecode(host)) as server:
        status, errors = server.end()
        assert status == 1 and one_line(errors, "can't listen")


def test_a_port_in_use_is_one_line(server: ChatServer) -> None:
    with Program("start_server", "--port", server.port) as second:
        status, errors = second.end()
        assert status == 1 and one_line(
            errors, "can't listen", str(server.port), "in use"
        )


@pytest.mark.slow
def test_a_full_server_is_one_line() -> None:
    with (
        ChatServer(limits=Limits(connections=1)) as server,
        LineClient(server.port).join("bob"),
    ):
        for _ in range(3):
            with chat_client(server.port, "ann") as ann:
                status, errors = ann.end()
                assert status == 1 and one_line(errors, "full")


def shell(server: ChatServer, script: str) -> tuple[str, str]:
    """Run a shell script in which `$CLIENT` is a client of the server, and 3 is our standard output: what came of it, and the errors."""
    command = f"'{sys.executable}' -c '{CLIENT}' 127.0.0.1 {server.port} --username ann"
    finished = subprocess.run(
        ["sh", "-c", f"exec 3>&1; client() {{ {command}; }}; {script}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return finished.stdout, finished.stderr


@posix
@pytest.mark.parametrize("script", [
    "seq 5000 | client | head -1",
    "seq 5000 | (client; echo status $? >&3) | true",
    "client </dev/null >/dev/null",
    "client <&-",
    "seq 5 | client >&-",
    "seq 5 | client 2>&-",
    "client <&- >&-",
    pytest.param("seq 5 | client >/dev/full", marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")),
])  # fmt: skip
def test_whatever_its_input_and_output_are_there_is_no_traceback(
    server: ChatServer, script: str
) -> None:
    printed, errors = shell(server, script)
    assert (
        "Traceback" not in errors
        and "Exception" not in errors
        and errors.count("\n") <= 1
    )
    wait_until(lambda: server.users == [])


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_server_that_can_not_print_does_not_say_that_it_can_not_listen() -> None:
    code = CLIENT.replace("start_client", "start_server")
    with (
        open("/dev/full", "w") as full,
        subprocess.Popen(
            [sys.executable, "-c", code, "--port", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        try:
            _, errors = process.communicate(timeout=1)
        except subprocess.TimeoutExpired:  # it serves all the same
            process.terminate()
            _, errors = process.communicate(timeout=60)
    assert b"listen" not in errors and b"Traceback" not in errors


# --- the configuration file --------------------------------------------------------------------------------------

ALL = {
    "host": "127.0.0.2", "port": 4321, "data": "some.db", "durability": "process",
    "trusted_networks": ["10.0.0.0/8", "::1"], "proxy_protocol": ["192.0.2.7"],
    "tls_proxies": ["192.0.2.7"],
}  # fmt: skip
ALL_LIMITS = {
    "connections": 7, "rooms_per_client": 3, "flood_burst": 9, "flood_rate": 2.5, "flood_excess": 11, "bad_lines": 4, "join_timeout": 3.5, "ping_after": 6.5,
    "ping_timeout": 7.5, "output_bytes": 12_345, "output_timeout": 8.5, "history_messages": 17, "history_bytes": 54_321, "history_days": 1.5,
    "data_bytes": 98_765, "resume_window": 4.5, "connections_per_address": 5, "connections_per_network": 6, "connect_rate": 1.5, "join_rate": 0.5,
    "guests": False, "registration": False, "sessions_per_account": 2,
    "file_bytes": 12, "file_bytes_per_person": 13, "file_bytes_per_room": 14, "file_bytes_in_all": 15, "files_per_person": 16, "files_in_all": 18,
    "uploads_per_person": 19, "file_days": 2.5, "upload_days": 0.5, "offer_minutes": 3.5, "file_share_per_address": 0.125,
}  # fmt: skip


def toml(values: dict, limits: dict) -> str:
    def lines(table: dict) -> list[str]:
        return [f"{key} = {toml_value(value)}" for key, value in table.items()]

    return "\n".join([*lines(values), "[limits]", *lines(limits)])


def toml_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """`started(*arguments)`: with what `chat_server` runs the server for these arguments."""
    calls = []
    monkeypatch.setattr(
        chat_app,
        "run_chat_server",
        lambda host, port, prepare, on_start, on_hang_up, on_stop, on_signal, tls, proxies, listeners, dialect, operators, rules, shared_port, **options: (
            calls.append(
                {"host": host, "port": port, "proxy_protocol": proxies, **options}
            )
            or 0
        ),
    )

    def started(*arguments: object) -> dict:
        assert chat_app.start_server([str(argument) for argument in arguments]) == 0
        return calls.pop()

    return started


NOTHING_SAID = {
    "host": "127.0.0.1", "port": 8000, "data": None, "durability": "power",
    "limits": Limits(), "trusted_networks": [], "proxy_protocol": [], "tls_proxies": [],
}  # fmt: skip


@pytest.mark.parametrize("key", [*ALL, *ALL_LIMITS])
def test_each_key_of_the_configuration_arrives_and_nothing_else_changes(
    tmp_path: Path, started: Callable, key: str
) -> None:
    assert set(ALL_LIMITS) == set(Limits.__struct_fields__), "all of them are tested"
    file = tmp_path / "chat.toml"
    file.write_text(
        toml({key: ALL[key]}, {}) if key in ALL else toml({}, {key: ALL_LIMITS[key]})
    )
    expected = (
        {key: ALL[key]} if key in ALL else {"limits": Limits(**{key: ALL_LIMITS[key]})}
    )
    assert started("--config", file) == {**NOTHING_SAID, **expected}


def test_a_configuration_may_begin_with_a_byte_order_mark(
    tmp_path: Path, started: Callable
) -> None:
    (file := tmp_path / "chat.toml").write_text(toml(ALL, ALL_LIMITS), "utf-8-sig")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert started("--config", file) == {**ALL, "limits": Limits(**ALL_LIMITS)}


def test_all_of_the_configuration_arrives(tmp_path: Path, started: Callable) -> None:
    (file := tmp_path / "chat.toml").write_text(toml(ALL, ALL_LIMITS))
    assert started("--config", file) == {**ALL, "limits": Limits(**ALL_LIMITS)}
    file.write_text("")
    assert started("--config", file) == started() == NOTHING_SAID


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "::1"),
        ("port", 99),
        ("port", 0),
        ("data", "another.db"),
        ("durability", "power"),
    ],  # fmt: skip
)
def test_an_argument_goes_before_the_file(
    tmp_path: Path, started: Callable, key: str, value: object
) -> None:
    (file := tmp_path / "chat.toml").write_text(toml(ALL, ALL_LIMITS))
    for arguments in (
        ("--config", file, f"--{key}", value),
        (f"--{key}", value, "--config", file),
    ):
        assert started(*arguments) == {
            **ALL,
            "limits": Limits(**ALL_LIMITS),
            key: value,
        }


def test_data_may_be_called_history_as_before(
    tmp_path: Path, started: Callable
) -> None:
    (file := tmp_path / "chat.toml").write_text('history = "old.db"')
    assert started("--config", file) == {**NOTHING_SAID, "data": "old.db"}
    for name in ("--data", "--history"):
        said = started("--config", file, name, "new.db")
        assert said == {**NOTHING_SAID, "data": "new.db"}


def test_a_real_server_keeps_to_its_configuration(tmp_path: Path) -> None:
    (file := tmp_path / "chat.toml").write_text(
        toml(
            {"port": 0, "history": str(tmp_path / "chat.db")},
            ALL_LIMITS | {"guests": True},
        )
    )
    with Program("start_server", "--config", file) as server:
        wait_until(lambda: server.lines)
        with LineClient(int(re.search(r":(\d+);", server.lines[0])[1])) as ann:
            ann.say("join", username="ann")
            limits = ann.read()["limits"]
            assert (
                limits.items()
                >= {
                    "rooms": 3,
                    "flood_burst": 9,
                    "flood_rate": 2.5,
                    "ping_after": 6.5,
                    "ping_timeout": 7.5,
                }.items()
            )
        assert server.end(signal.SIGTERM) == (0, [])
    assert (tmp_path / "chat.db").exists()


BAD_CONFIGS = {
    "an unknown key": ('prot = 1\n', "prot"),
    "an unknown limit": ("[limits]\nflood = 1\n", "flood"),
    "a wrong type": ('port = "8000"\n', "port"),
    "a wrong type of a limit": ('[limits]\nconnections = "many"\n', "connections"),
    "a table for a value": ("[port]\n", "port"),
    "a value for a table": ("limits = 3\n", "limits"),
    "a fraction": ("[limits]\nconnections = 1.5\n", "connections"),
    "a boolean": ("[limits]\nping_after = true\n", "ping_after"),
    "a port that is none": ("port = 65536\n", "port"),
    "a negative port": ("port = -1\n", "port"),
    "no connections": ("[limits]\nconnections = 0\n", "connections"),
    **{f"a negative {name}": (f"[limits]\n{name} = -1\n", name) for name in ALL_LIMITS},
    **{f"no {name}": (f"[limits]\n{name} = 0\n", name) for name in ("flood_rate", "join_timeout", "ping_after", "ping_timeout", "output_timeout", "output_bytes", "bad_lines")},
    "not a number": ("[limits]\nping_after = nan\n", "ping_after"),
    "not TOML": ("port: 8000\n", "chat.toml"),
    "twice": ("port = 1\nport = 2\n", "chat.toml"),
    "not UTF-8": (b"# \xff\n", "chat.toml"),
    "UTF-16": ("port = 1\n".encode("utf-16"), "chat.toml"),
    "zeros": (bytes(1000), "chat.toml"),
}  # fmt: skip


def one_error(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one line that `chat_server` ends with, as a wrong use."""
    with pytest.raises(SystemExit) as ended:
        chat_app.start_server([str(argument) for argument in arguments])
    assert ended.value.code == 2
    printed, errors = capsys.readouterr()
    assert printed == "" and one_line(errors)
    return errors


@pytest.mark.parametrize(("text", "part"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_configuration_that_can_not_be_is_one_line(
    tmp_path: Path,
    started: Callable,
    capsys: pytest.CaptureFixture,
    text: str | bytes,
    part: str,
) -> None:
    file = tmp_path / "chat.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    error = one_error(capsys, "--config", file)
    assert part in error and str(file) in error


def test_a_configuration_that_is_not_there_is_one_line(
    tmp_path: Path, started: Callable, capsys: pytest.CaptureFixture
) -> None:
    assert "No such file" in one_error(capsys, "--config", tmp_path / "nowhere.toml")
    assert "directory" in one_error(capsys, "--config", tmp_path)


@pytest.mark.parametrize(
    "name", ["an unknown key", "not TOML", "not UTF-8", "a negative connections"]
)
def test_a_real_server_with_a_bad_configuration_ends_with_status_2(
    tmp_path: Path, name: str
) -> None:
    text, part = BAD_CONFIGS[name]
    (file := tmp_path / "chat.toml").write_bytes(
        text if isinstance(text, bytes) else text.encode()
    )
    with Program("start_server", "--port", 0, "--config", file) as server:
        status, errors = server.end()
        assert (status, server.lines) == (2, []) and one_line(errors, part)


# --- the history file --------------------------------------------------------------------------------------------


def sqlite_file(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def history_with_messages(path: Path) -> None:
    store, failures = SQLiteStore(path), []
    for seq in range(1, 2000):
        store.append(Message("lobby", seq, "ann", "x" * 50, 0.0), "session", None)
    store.commit(failures.append)
    store.close()
    assert failures == [None]


def damage(path: Path) -> None:
    history_with_messages(path)
    data = bytearray(path.read_bytes())
    data[8192:40_000] = os.urandom(40_000 - 8192)
    path.write_bytes(data)


BAD_HISTORIES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("Dear diary,\n" * 100),
    "short": lambda path: path.write_bytes(b"SQLite format 3\0"),
    "another program's": lambda path: sqlite_file(
        path,
        "CREATE TABLE messages (x)",
        "INSERT INTO messages VALUES (1)",
        f"PRAGMA user_version = {FILE_VERSION}",
    ),
    "a newer version's": lambda path: (
        SQLiteStore(path).close(),
        sqlite_file(path, "PRAGMA user_version = 99"),
    ),
    "damaged": damage,
    "cut off": lambda path: (
        history_with_messages(path),
        os.truncate(path, path.stat().st_size // 2),
    ),
}


@pytest.mark.parametrize("make", BAD_HISTORIES.values(), ids=BAD_HISTORIES)
def test_a_history_that_can_not_be_used_is_one_line_and_stays_as_it_was(
    tmp_path: Path, make: Callable
) -> None:
    make(file := tmp_path / "chat.db")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with Program("start_server", "--port", 0, "--data", file) as server:
        status, errors = server.end()
        assert (status, server.lines) == (1, []) and one_line(
            errors, "data file", str(file)
        )
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "path",
    ["", "nowhere/chat.db", "file/chat.db"],
    ids=["a directory", "in no directory", "in a file"],
)
def test_a_history_that_can_not_be_there_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    with Program("start_server", "--port", 0, "--history", tmp_path / path) as server:
        status, errors = server.end()
        assert (status, server.lines) == (1, []) and one_line(errors, "data file")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_a_history_that_another_server_uses_is_one_line_and_that_server_goes_on(
    tmp_path: Path,
) -> None:
    file = tmp_path / "chat.db"
    with (
        chat_server("--history", file) as (first, port),
        LineClient(port).join("ann") as ann,
    ):
        ann.say("message", content="one", id=1)
        assert ann.read_until("ok")["seq"] == 1
        with Program("start_server", "--port", 0, "--history", file) as second:
            status, errors = second.end()
            assert (status, second.lines) == (1, []) and one_line(
                errors, str(file), "another server is using it"
            )
        ann.say("message", content="two", id=2)
        assert ann.read_until("ok")["seq"] == 2
        assert first.end(signal.SIGTERM) == (0, [])
    with (
        chat_server("--history", file) as (_, port),
        LineClient(port) as ann,
    ):  # now it is free
        ann.say("join", username="cy")
        assert ann.read()["seq"] == 2


def test_an_empty_file_is_a_new_history(tmp_path: Path) -> None:
    (file := tmp_path / "chat.db").touch()
    with (
        chat_server("--history", file) as (_, port),
        LineClient(port).join("ann") as ann,
    ):
        ann.say("message", content="one", id=1)
        assert ann.read_until("ok")["seq"] == 1


# --- terminals ---------------------------------------------------------------------------------------------------


@contextmanager
def on_a_terminal(port: int, *arguments: object) -> Iterator[tuple[Program, int]]:
    """A client whose input is a terminal, and our end of that."""
    ours, theirs = os.openpty()
    try:
        with Program(
            "start_client", "127.0.0.1", port, *arguments, stdin=theirs
        ) as program:
            os.close(theirs)
            yield program, ours
    finally:
        os.close(ours)


@posix
def test_on_a_terminal_it_asks_for_the_name(server: ChatServer) -> None:
    with on_a_terminal(server.port) as (program, keyboard):
        os.write(keyboard, b"  zoe \nhello\n/quit\n")
        assert program.end() == (0, [])
        assert program.lines == [
            "Your name: * Welcome to lobby, zoe!",
            "* in lobby: zoe",
            "zoe: hello",
            "* Goodbye!",
        ]


@posix
@pytest.mark.parametrize("keys", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("when", ["asked", "chatting"])
def test_on_a_terminal_a_key_ends_it_with_status_0(
    server: ChatServer, when: str, keys: bytes
) -> None:
    import fcntl
    import termios

    ours, theirs = os.openpty()
    screen = b""

    def wait_for(text: bytes) -> None:
        nonlocal screen
        while text not in screen:
            assert select.select([ours], [], [], LIMIT)[0], screen
            screen += os.read(ours, 10_000)

    command = [sys.executable, "-c", CLIENT, "127.0.0.1", str(server.port)]
    own_terminal = {
        "start_new_session": True,
        "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    }  # or the keys would mean nothing
    dumb = {**os.environ, "TERM": "dumb"}  # else it would be the terminal client
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=dumb, **own_terminal
    ) as process:
        try:
            wait_for(b"Your name: ")
            if when == "chatting":
                os.write(ours, b"zoe\n")
                wait_for(b"* in lobby: zoe")
            os.write(ours, keys)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # pressed in the instant before Python waited for it: a person presses again
                os.write(ours, keys)
            assert process.wait(60) == 0
            assert b"Traceback" not in screen + (
                os.read(ours, 10_000) if select.select([ours], [], [], 0)[0] else b""
            )
        finally:
            process.kill()
            os.close(theirs)
            os.close(ours)
    wait_until(lambda: server.users == [])


@posix
def test_on_a_terminal_ctrl_d_leaves(server: ChatServer) -> None:
    with on_a_terminal(server.port, "--username", "zoe") as (program, keyboard):
        program.expect("* in lobby: zoe")
        os.write(keyboard, b"\x04")
        assert program.end() == (0, []) and program.lines[-1] == "* Goodbye!"


@posix
def test_a_terminal_that_is_closed_is_leaving(server: ChatServer) -> None:
    ours, theirs = os.openpty()
    with Program(
        "start_client", "127.0.0.1", server.port, "--username", "zoe", stdin=theirs
    ) as program:
        os.close(theirs)
        program.expect("* in lobby: zoe")
        os.close(ours)
        status, errors = program.end()
        assert errors == []
    wait_until(lambda: server.users == [])
