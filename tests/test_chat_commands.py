"""`chat_server` and `chat_client` as real processes, on pipes and on terminals."""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from helpers import LineClient, Program, wait_until

from python_tcp.chat_app import ChatServer
from python_tcp.protocol import Limits

CLIENT = 'import sys; from python_tcp.chat_app import start_client as main; sys.exit(main())'
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell and terminal")


@contextmanager
def chat_server(*arguments: object) -> Iterator[tuple[Program, int]]:
    """A real server, and its port."""
    with Program("start_server", "--port", 0, *arguments) as program:
        wait_until(lambda: program.lines)
        yield program, int(re.search(r":(\d+);", program.lines[0])[1])


def chat_client(port: int, name: str, *arguments: object, **options: int) -> Program:
    return Program("start_client", "127.0.0.1", port, "--username", name, *arguments, **options)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """In this process: for tests that are about the client."""
    with ChatServer() as server:
        yield server


@pytest.fixture
def run(server: ChatServer) -> Callable[..., subprocess.CompletedProcess]:
    """`run(input, *arguments)`: chat_client from start to end, on pipes."""

    def run(text: str, *arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", CLIENT, *(arguments or ["127.0.0.1", server.port, "--username", "ann"])]
        command = [part if isinstance(part, bytes) else str(part) for part in command]
        return subprocess.run(command, input=text.encode("utf-8", "surrogateescape"), capture_output=True, timeout=20)

    return run


def output(finished: subprocess.CompletedProcess) -> list[str]:
    assert finished.stderr == b""
    return finished.stdout.decode().splitlines()


def one_line(errors: str | bytes | list[str], *parts: str) -> bool:
    """Is it one line of the program's own, with these parts?"""
    if isinstance(errors, list):
        errors = "".join(line + "\n" for line in errors)
    text = errors if isinstance(errors, str) else errors.decode()
    assert text.endswith("\n") and text.count("\n") == 1 and re.match("chat_(client|server): ", text), text
    assert all(part in text for part in parts), text
    return True


# --- three people and a server -----------------------------------------------------------------------------------


def test_people_chat_whisper_are_killed_and_are_told_of_the_end() -> None:
    with chat_server() as (server, port), chat_client(port, "ann") as ann, chat_client(port, "bob") as bob, chat_client(port, "cy") as cy:
        for program in (ann, bob, cy):
            wait_until(lambda: any(line.startswith("* in lobby:") for line in program.lines))
        ann.type("grüße 👋")
        bob.type("hi ann")
        bob.type("/whisper cy psst")
        bob.type("that is all")
        for program in (ann, bob, cy):
            program.expect("ann: grüße 👋")
            program.expect("bob: hi ann")
            program.expect("bob: that is all")
        assert "(bob whispers) psst" in cy.lines and "(to cy) psst" in bob.lines and not any("psst" in line for line in ann.lines)

        with chat_client(port, "ANN") as second:
            status, errors = second.end()
            assert status == 1 and one_line(errors, "taken") and second.lines == []

        cy.process.kill()
        for program in (ann, bob):
            program.expect("* cy left lobby")
        with chat_client(port, "cy") as again:
            ann.expect("* cy joined lobby")
            again.type("/quit")
            assert again.end() == (0, [])

        start = time.monotonic()
        assert server.end(signal.SIGINT) == (0, []) and time.monotonic() - start < 5
        for program in (ann, bob):
            assert program.end() == (1, []) and program.lines[-1] == "* The server is closing."


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_with_status_0_and_the_clients_are_told(number: signal.Signals) -> None:
    with chat_server() as (server, port), LineClient(port) as reader, LineClient(port) as silent:
        reader.join("ann")
        silent.join("bob", "dev")
        start = time.monotonic()
        server.process.send_signal(number)
        for client in (reader, silent):
            assert [event["code"] for event in client.read_all()] == ["server_closing"]
        assert server.end(number) == (0, [])  # impatient: again
        assert time.monotonic() - start < 5
        with pytest.raises(ConnectionRefusedError):
            LineClient(port)


@posix
def test_a_client_that_does_not_read_does_not_keep_the_server_from_ending() -> None:
    with chat_server() as (server, port), LineClient(port, limit=0.5) as stuck:
        stuck.join("ann")
        with pytest.raises(TimeoutError):  # it hears itself, does not read that, and so is not read either
            stuck.send((b'{"type": "message", "content": "' + b"x" * 4000 + b'"}\n') * 8000)
        start = time.monotonic()
        assert server.end(signal.SIGTERM) == (0, []) and time.monotonic() - start < 5


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_client_with_status_0_and_the_others_hear_it(server: ChatServer, number: signal.Signals) -> None:
    with chat_client(server.port, "ann") as ann:
        ann.expect("* in lobby: ann")
        assert ann.end(number, 5) == (0, [])
    assert server.users == []


@posix
@pytest.mark.parametrize("when", ["while joining", "while chatting"])
def test_a_signal_ends_the_client_even_if_the_server_is_stuck(when: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, chat_client(listener.getsockname()[1], "ann") as ann:
        listener.settimeout(10)
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1000).startswith(b'{"type":"join"')
            if when == "while chatting":
                sock.sendall(b'{"type":"welcome","username":"ann","room":"lobby","content":"Hi.","seq":0}\n{"type":"users","room":"lobby","users":["ann"]}\n')
                ann.expect("* in lobby: ann")
            start = time.monotonic()
            assert ann.end(signal.SIGINT) == (0, []) and time.monotonic() - start < 4.5


def test_a_server_that_dies_is_said_in_one_line(server: ChatServer) -> None:
    with chat_server() as (process, port), chat_client(port, "ann") as ann:
        ann.expect("* in lobby: ann")
        process.process.kill()
        assert ann.end() == (1, [])
        assert len(ann.lines) == 3 and "connection has ended" in ann.lines[-1]


# --- what can be typed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hello\n/quit\n", "hello\n/exit\nnot said\n", "hello\n", "hello", "hello\r\n  /quit  \r\n", "\n  \nhello\n"])
def test_lines_from_a_pipe_are_said_and_the_end_is_leaving(server: ChatServer, run: Callable, text: str) -> None:
    finished = run(text)
    assert output(finished) == ["* Welcome to lobby, ann!", "* in lobby: ann", "ann: hello", "* Goodbye!"]
    assert finished.returncode == 0 and server.users == []


def test_an_empty_input_joins_and_leaves(run: Callable) -> None:
    finished = run("")
    assert output(finished) == ["* Welcome to lobby, ann!", "* in lobby: ann", "* Goodbye!"] and finished.returncode == 0


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
        assert bob.read_until("whisper")["content"] == "two  words "
        typed("/whisper dan x", "! dan is not here")
        typed("//text", "ann: /text")
        typed("/// x", "ann: // x")
        typed(" /users", "* in lobby: ann, bob")
        typed("/join Dev", "* Welcome to dev, ann!")
        ann.expect("* in dev: ann")
        typed("/rooms", "* rooms: dev (1), lobby (2)")
        typed("only here", "ann: only here")
        ann.type("/join lobby")
        typed("back", "ann: back")
        assert [bob.read_until("message")["content"] for _ in range(3)] == ["/text", "// x", "back"]
        typed("/join #x", "! `room`: expected 1 to 64 letters, digits or _ - .")
        for wrong in ("/join", "/join a b", "/whisper", "/whisper bob", "/users now", "/rooms x", "/help me"):
            typed(wrong, f"! {wrong.split()[0]} is used differently: /help lists the commands")
        for unknown in ("/nope", "/", "/ users", "/USERS", "/nope and more"):
            typed(unknown, f"! {unknown.split()[0]} is not a command: /help lists them")
        typed("x" * 4001, "! `content`: expected 1 to 4000 characters, got 4001")
        typed("x" * 20_000, "! a line may have 16384 bytes")
        typed("\x1b[2J", "! `content`: the control character U+001B is not allowed")
        typed("/help", "/users            who is here")
        for command in ("/users", "/whisper NAME TEXT", "/rooms", "/join ROOM", "/help", "/quit or /exit"):
            assert any(line.startswith(command) for line in ann.lines)
        typed("still here", "ann: still here")
        ann.type("/quit")
        assert ann.end() == (0, []) and ann.lines[-1] == "* Goodbye!"


def test_what_is_typed_after_joining_goes_there_whatever_failed_before(server: ChatServer, run: Callable) -> None:
    with LineClient(server.port) as bob:
        bob.join("bob")
        run("".join(f"/whisper nobody x\n/join room{number}\nsecret\n" for number in range(19)))
        bob.say("message", content="end")
        assert bob.read_until("message")["content"] == "end", "what was meant for another room was said here"


def test_bytes_that_are_no_text_are_said_as_replacement_characters(run: Callable) -> None:
    assert "ann: a\ufffdb" in output(run("a\udcffb\n"))


def test_a_room_may_be_given(server: ChatServer, run: Callable) -> None:
    assert output(run("hi\n", "127.0.0.1", server.port, "--username", "ann", "--room", "Dev"))[0] == "* Welcome to dev, ann!"


def test_help_says_how_to_use_it(run: Callable) -> None:
    finished = run("", "--help")
    assert finished.returncode == 0 and all(part in finished.stdout.decode() for part in ("--username", "--room", "host", "port", "8000"))


# --- what can go wrong -------------------------------------------------------------------------------------------


def test_without_a_name_and_a_terminal_it_is_a_wrong_use(server: ChatServer, run: Callable) -> None:
    finished = run("bob\n", "127.0.0.1", server.port)
    assert finished.returncode == 2 and one_line(finished.stderr, "--username") and finished.stdout == b""


def test_an_empty_name_does_not_take_the_first_line_for_one(server: ChatServer, run: Callable) -> None:
    finished = run("bob\n", "127.0.0.1", server.port, "--username", "")
    assert finished.returncode in (1, 2) and one_line(finished.stderr) and finished.stdout == b""


@pytest.mark.parametrize("arguments", [["--username", "a b"], ["--username", b"a\xff"], ["--username", "ann", "--room", "#x"], ["--username", "ann", "--room", b"\xff"]], ids=repr)
def test_a_name_that_is_not_allowed_is_one_line(server: ChatServer, run: Callable, arguments: list) -> None:
    finished = run("hi\n", "127.0.0.1", server.port, *arguments)
    assert finished.returncode in (1, 2) and one_line(finished.stderr) and finished.stdout == b""


@pytest.mark.parametrize("port", ["x", "-1", "65536", "1.5", "", "9" * 5000, "²"])
def test_a_port_that_is_none_is_a_wrong_use(run: Callable, port: str) -> None:
    finished = run("", "--username", "ann", "--", "127.0.0.1", port)
    assert finished.returncode == 2 and one_line(finished.stderr, "port")
    with Program("start_server", f"--port={port}") as server:
        status, errors = server.end()
        assert status == 2 and one_line(errors, "port")


def test_nobody_listening_is_one_line(run: Callable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    finished = run("hi\n", "127.0.0.1", port, "--username", "ann")
    assert finished.returncode == 1 and one_line(finished.stderr, f"127.0.0.1 port {port}", "refused") and finished.stdout == b""


HOSTS = ["no.such.host.invalid", "x" * 70, "a..b", "", b"\xff"]


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_a_host_that_can_not_be_is_one_line_of_the_client(run: Callable, host: str | bytes) -> None:
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
        assert status == 1 and one_line(errors, "can't listen", str(server.port), "in use")


def test_a_full_server_is_one_line() -> None:
    with ChatServer(limits=Limits(connections=0)) as server:
        for _ in range(3):
            with chat_client(server.port, "ann") as ann:
                status, errors = ann.end()
                assert status == 1 and one_line(errors, "full")


def shell(server: ChatServer, script: str) -> tuple[str, str]:
    """Run a shell script in which `$CLIENT` is a client of the server, and 3 is our standard output: what came of it, and the errors."""
    command = f"'{sys.executable}' -c '{CLIENT}' 127.0.0.1 {server.port} --username ann"
    finished = subprocess.run(["sh", "-c", f"exec 3>&1; client() {{ {command}; }}; {script}"], capture_output=True, text=True, timeout=20)
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
def test_whatever_its_input_and_output_are_there_is_no_traceback(server: ChatServer, script: str) -> None:
    printed, errors = shell(server, script)
    assert "Traceback" not in errors and "Exception" not in errors and errors.count("\n") <= 1
    wait_until(lambda: server.users == [])


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_server_that_can_not_print_does_not_say_that_it_can_not_listen() -> None:
    code = CLIENT.replace("start_client", "start_server")
    with open("/dev/full", "w") as full, subprocess.Popen([sys.executable, "-c", code, "--port", "0"], stdout=full, stderr=subprocess.PIPE) as process:
        try:
            _, errors = process.communicate(timeout=1)
        except subprocess.TimeoutExpired:  # it serves all the same
            process.terminate()
            _, errors = process.communicate(timeout=10)
    assert b"listen" not in errors and b"Traceback" not in errors


# --- terminals ---------------------------------------------------------------------------------------------------


@contextmanager
def on_a_terminal(port: int, *arguments: object) -> Iterator[tuple[Program, int]]:
    """A client whose input is a terminal, and our end of that."""
    ours, theirs = os.openpty()
    try:
        with Program("start_client", "127.0.0.1", port, *arguments, stdin=theirs) as program:
            os.close(theirs)
            yield program, ours
    finally:
        os.close(ours)


@posix
def test_on_a_terminal_it_asks_for_the_name(server: ChatServer) -> None:
    with on_a_terminal(server.port) as (program, keyboard):
        os.write(keyboard, b"  zoe \nhello\n/quit\n")
        assert program.end() == (0, [])
        assert program.lines == ["Your name: * Welcome to lobby, zoe!", "* in lobby: zoe", "zoe: hello", "* Goodbye!"]


@posix
@pytest.mark.parametrize("keys", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("when", ["asked", "chatting"])
def test_on_a_terminal_a_key_ends_it_with_status_0(server: ChatServer, when: str, keys: bytes) -> None:
    import fcntl
    import termios

    ours, theirs = os.openpty()
    screen = b""

    def wait_for(text: bytes) -> None:
        nonlocal screen
        while text not in screen:
            assert select.select([ours], [], [], 10)[0], screen
            screen += os.read(ours, 10_000)

    command = [sys.executable, "-c", CLIENT, "127.0.0.1", str(server.port)]
    own_terminal = {"start_new_session": True, "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)}  # or the keys would mean nothing
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **own_terminal) as process:
        try:
            wait_for(b"Your name: ")
            if when == "chatting":
                os.write(ours, b"zoe\n")
                wait_for(b"* in lobby: zoe")
            os.write(ours, keys)
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:  # pressed in the instant before Python waited for it: a person presses again
                os.write(ours, keys)
            assert process.wait(10) == 0
            assert b"Traceback" not in screen + (os.read(ours, 10_000) if select.select([ours], [], [], 0)[0] else b"")
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
    with Program("start_client", "127.0.0.1", server.port, "--username", "zoe", stdin=theirs) as program:
        os.close(theirs)
        program.expect("* in lobby: zoe")
        os.close(ours)
        status, errors = program.end(limit=5)
        assert errors == []
    assert server.users == []
