"""The lab: what a peer of the lab says of a program, how a program is started and ended, the report, the command."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from sockets import nothing_left_over, read_all, tcp_pair  # noqa: F401
from waiting import wait_until

from python_tcp.echo import EchoServer
from python_tcp.lab import Bench, LabTest, LabOutcome, Result, RunningServer
from python_tcp.lab import Stage, run_stages, run_test
from python_tcp.lab_app import STAGES, chosen_stages
from python_tcp.lab_echo import ECHO
from python_tcp.lab_peer import Exchange, Kind, LabFailure, LabPeer
from python_tcp.lab_program import ProgramTarget, filled, is_free, processes_with
from python_tcp.lab_report import gradescope_report, json_report, junit_report
from python_tcp.lab_report import read_points, text_report

pytestmark = [
    pytest.mark.slow,  # it starts programs
    pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX"),
]

ECHO_PROGRAM = """
import os, socket, threading
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
def serve(connection):
    try:
        while data := connection.recv(1024):
            connection.sendall(data)
    except OSError: pass
    connection.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def python(code: str, **options: int) -> ProgramTarget:
    return ProgramTarget([sys.executable, "-c", code], **options)


def word(bench: Bench) -> None:
    ann = bench.connect("ann")
    ann.send(b"hello")
    ann.expect(b"hello", "The word")


WORD = LabTest("small", "word", "a word comes back", word, "the cause", "001_echo")


# --- a peer of the lab --------------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[LabPeer, socket.socket]]:
    ours, theirs = tcp_pair()
    with ours, theirs:
        yield LabPeer("ann", ours, [], 0.3), theirs


def complaint(call: object) -> str:
    with pytest.raises(LabFailure) as caught:
        call()
    return str(caught.value)


def test_a_peer_reads_on_until_it_has_what_it_expects(pair: tuple) -> None:
    ann, theirs = pair
    for byte in b"hello":
        theirs.sendall(bytes([byte]))
    ann.expect(b"hel", "a part")
    ann.expect(b"lo", "the rest")


def test_it_says_what_came_instead(pair: tuple) -> None:
    ann, theirs = pair
    theirs.sendall(b"hexxo")
    assert complaint(lambda: ann.expect(b"hello", "The echo")) == (
        "ann: The echo: expected b'hello', but got b'hexxo'."
    )


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (lambda sock: None, "Nothing more came within 0.3 s."),
        (lambda sock: sock.close(), "The program had closed the connection."),
        (
            lambda sock: (
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                or sock.close()
            ),
            "The program had reset the connection (RST).",
        ),
    ],
    ids=["silent", "closed", "reset"],
)
def test_it_says_why_nothing_more_came(pair: tuple, end: object, why: str) -> None:
    ann, theirs = pair
    end(theirs)
    assert complaint(lambda: ann.expect(b"hello", "The echo")) == (
        f"ann: The echo: expected b'hello', but got nothing. {why}"
    )


def test_where_two_long_texts_begin_to_differ(pair: tuple) -> None:
    ann, theirs = pair
    theirs.sendall(b"x" * 500 + b"y" * 500)
    said = complaint(lambda: ann.expect(b"x" * 1000, "It"))
    assert said.endswith("The first 500 bytes are the same.")


def test_who_closes_may_wait_until_that_is_noticed(pair: tuple) -> None:
    """Another thread of the program may serve the next line before this one sees the end."""
    ann, theirs = pair
    noticed: list[bytes] = []

    def serve() -> None:
        with theirs:
            noticed.append(theirs.recv(100))
            theirs.sendall(b"what it no longer wants")

    thread = threading.Thread(target=serve)
    thread.start()
    ann.close(noticed=True)
    assert noticed == [b""]
    thread.join()


def test_a_trickle_of_bytes_does_not_keep_the_lab_for_ever(pair: tuple) -> None:
    ann, theirs = pair
    ann = LabPeer("ann", ann._wire.sock, [], 0.1)
    ending = threading.Event()

    def trickle() -> None:
        while not ending.wait(0.001):
            theirs.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        said = complaint(lambda: ann.read_until(lambda data: 0, "a newline"))
    finally:
        ending.set()
        thread.join()
    assert "It was not complete after 1 s." in said


def test_a_program_that_does_not_read_is_named_as_that(pair: tuple) -> None:
    ann, theirs = pair
    assert "does not read" in complaint(lambda: ann.send(bytes(50_000_000)))


@pytest.mark.parametrize("as_good", [True, False])
def test_the_end_may_be_a_reset_where_that_is_as_good(
    pair: tuple, as_good: bool
) -> None:
    ann, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    if as_good:
        ann.expect_end("It", reset_too=True)
    else:
        assert "RST" in complaint(lambda: ann.expect_end("It"))


def test_bytes_after_the_end_of_the_answer_are_noticed(pair: tuple) -> None:
    ann, theirs = pair
    theirs.sendall(b"more")
    assert "but got b'more'" in complaint(lambda: ann.expect_end("It"))


def test_the_conversation_has_each_step_in_order(pair: tuple) -> None:
    ann, theirs = pair
    ann.send(b"a", b"b")
    theirs.sendall(b"ab?")
    ann.expect(b"ab", "It")
    with pytest.raises(LabFailure):
        ann.expect(b"!", "It")
    ann.finish()
    assert [str(step) for step in ann._conversation] == [
        "ann > b'a'",
        "ann > b'b'",
        "ann < b'ab'",
        "ann < b'?'   (expected: b'!')",
        "ann has finished sending (FIN)",
    ]


# --- programs -----------------------------------------------------------------------------------------------------

LATE = "import time; time.sleep(3)\n"
CHATTERS = (
    "import threading\ndef chat():\n    while True: print('x' * 9999)\n"
    "for n in range(200): print('x' * 9999)\n"
    "threading.Thread(target=chat, daemon=True).start()\n"
)
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN)\n"
CHILD = "import os, time\nif not os.fork(): time.sleep(99)\n"
HIDDEN = "import os, time\nif not os.fork():\n os.setsid(); time.sleep(99)\n"
HOLDER = """
import os, socket, signal, time
port = int(os.environ["PORT"])
listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
ready, told = os.pipe()
if not os.fork():
    os.setsid()
    signal.signal(15, signal.SIG_IGN)
    os.write(told, b"!")
    while True: time.sleep(9)
os.read(ready, 1)  # else it may be ended before it has its own session
connection, _ = listener.accept()
connection.sendall(connection.recv(9))
time.sleep(99)
"""


@pytest.mark.parametrize(
    ("code", "outcome", "line"),
    [
        ("import time; time.sleep(99)", "failed", "It has not listened on port"),
        ("raise SystemExit(3)", "failed", "The program has ended with status 3."),
        ("import os; os.kill(os.getpid(), 9)", "failed", "has ended by signal 9."),
        (LATE + ECHO_PROGRAM, "passed", "It took more than 2 s until it listened."),
        (CHATTERS + ECHO_PROGRAM, "passed", "It printed more than 1 MB."),
        (STUBBORN + ECHO_PROGRAM, "passed", "It ignored SIGTERM, and was killed."),
        (HIDDEN + ECHO_PROGRAM, "passed", "It left children behind, which were k"),
        (HOLDER, "passed", "It left children behind, which were killed: 1."),
        (CHILD + ECHO_PROGRAM, "passed", ""),
        (ECHO_PROGRAM, "passed", ""),
    ],
    ids="never dies killed late chatters stubborn hidden holder child good".split(),
)
def test_a_bad_program_gets_a_clear_line_and_leaves_nothing(
    nothing_left_over: None, code: str, outcome: str, line: str
) -> None:
    target = python(code)
    marks: list[str] = []
    start = target.__call__

    @contextmanager
    def watched() -> Iterator[object]:
        with start() as program:
            marks.extend([program._mark, program.port])
            yield program

    result = run_test(WORD, watched)
    assert result.outcome == outcome, result.complaint
    lines = [*target.notes, *[result.complaint][: result.outcome == "failed"]]
    assert len(lines) == bool(line) and line in "".join(lines)
    mark, port = marks
    assert processes_with(mark) == []
    wait_until(lambda: is_free("127.0.0.1", port))  # another test may have got it


def test_the_last_lines_of_a_program_that_dies_are_kept() -> None:
    result = run_test(WORD, python("print('one')\nraise ValueError('no such room')"))
    assert result.output[0] == "one"
    assert result.output[-1] == "ValueError: no such room"
    assert result.fatal


def test_a_program_that_dies_of_a_client_is_said_to_have_died() -> None:
    code = ECHO_PROGRAM.replace("connection.sendall(data)", "os._exit(7)")
    result = run_test(WORD, python(code))
    assert result.complaint.endswith("The program has ended with status 7.")
    assert not result.fatal


def test_a_program_that_listens_elsewhere_is_told_where() -> None:
    code = "import socket, time; s = socket.create_server(('', 0)); time.sleep(99)"
    result = run_test(WORD, python(code))
    assert "It listens on port" in result.complaint and "--port" in result.complaint


def test_a_program_with_a_port_of_its_own(reserved_port: int) -> None:
    port = reserved_port
    with socket.create_server(("127.0.0.1", port)):
        result = run_test(WORD, python(ECHO_PROGRAM, port=port))
        assert result.complaint == f"Port {port} is taken before the program starts."
    assert run_test(WORD, python(ECHO_PROGRAM, port=port)).outcome == "passed"


def test_a_program_that_is_not_there() -> None:
    result = run_test(WORD, ProgramTarget(["/no/such/program"]))
    assert result.complaint == (
        "The lab can't start '/no/such/program': No such file or directory."
    )


def test_only_our_names_in_braces_are_replaced() -> None:
    command = ["x", "{port}", "--at={host}:{port}", "{}", "{a}"]
    assert filled(command, port=1, host="h") == ["x", "1", "--at=h:1", "{}", "{a}"]


def test_when_the_program_does_not_start_the_other_tests_are_not_tried() -> None:
    results = run_stages([ECHO], python("raise SystemExit(1)"))
    assert {result.outcome for result in results} == {LabOutcome.FAILED}
    assert len(results) == len(ECHO.tests)
    assert {result.complaint for result in results[1:]} == {
        "Not tried, because the program does not start."
    }


# --- tests and their results --------------------------------------------------------------------------------------


def test_the_same_seed_sends_the_same_and_another_seed_something_else() -> None:
    def sent(seed: int) -> list[Exchange]:
        with EchoServer() as server:
            here = RunningServer(server.host, server.port)
            results = run_stages([ECHO], target_of(here), seed)
        assert {result.outcome for result in results} == {"passed"}
        return [result.conversation for result in results]

    assert sent(1) == sent(1) != sent(2)


def target_of(server: RunningServer) -> object:
    @contextmanager
    def target() -> Iterator[RunningServer]:
        yield server

    return target


def test_a_test_that_can_not_be_run_is_skipped_with_its_reason() -> None:
    stop = LabTest("small", "stop", "", lambda bench: bench.server.stop(), "", "")
    result = run_test(stop, target_of(RunningServer("127.0.0.1", 1)))
    assert (result.outcome, result.complaint) == (
        "skipped",
        "the lab can only end a program that it has started",
    )


def test_nobody_at_the_address() -> None:
    result = run_test(WORD, target_of(RunningServer("127.0.0.1", 1)))
    assert "Nothing accepts connections on 127.0.0.1:1." in result.complaint


# --- the report ---------------------------------------------------------------------------------------------------

FAILED = Result(
    WORD,
    LabOutcome.FAILED,
    "ann: no \x1b[2J",
    (
        Exchange("ann", Kind.CONNECT),
        Exchange("ann", Kind.SENT, b"hello"),
        Exchange("ann", Kind.GOT, b"", "b'hello'"),
    ),
    ("Traceback", "\x1b]0;title\x07\x00boom"),
)


def test_a_report_tells_the_story_of_the_first_failure_only() -> None:
    passed = Result(WORD, LabOutcome.PASSED)
    text = text_report([passed, FAILED, FAILED], ["It ignored SIGTERM."])
    assert text.startswith("small: 1 of 3 passed\n  passed   word")
    for line in (
        "      ann > b'hello'",
        "      ann < (nothing)   (expected: b'hello')",
        "    | Traceback",
        "    the cause",
        "  Chapter 001_echo explains it.",
        "Note: It ignored SIGTERM.",
    ):
        assert text.splitlines().count(line) == 1, text
    assert "\x1b" not in text and "\x07" not in text


def test_a_long_conversation_is_shown_from_its_end() -> None:
    steps = tuple(Exchange("ann", Kind.SENT, b"%d" % n) for n in range(100))
    text = text_report([Result(WORD, LabOutcome.FAILED, "no", steps)])
    assert "... 70 steps before" in text and "ann > b'99'" in text


def test_reports_for_programs() -> None:
    skipped = Result(WORD, LabOutcome.SKIPPED, "why")
    results = [Result(WORD, LabOutcome.PASSED), FAILED, skipped]
    tests = json.loads(json_report(results))["tests"]
    assert [test["outcome"] for test in tests] == ["passed", "failed", "skipped"]
    suite = ElementTree.fromstring(junit_report(results).split("\n", 1)[1])[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (
        "3",
        "1",
        "1",
    )
    assert suite[1][0].tag == "failure" and "ann > b'hello'" in suite[1][0].text
    graded = json.loads(gradescope_report(results, {"small": 5}))
    assert graded["score"] == 2.5 and len(graded["tests"]) == 2
    assert [test["max_score"] for test in graded["tests"]] == [2.5, 2.5]


# https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output format": what a results.json may have.
TEXT, NUMBER = {"type": "string"}, {"type": "number"}
SHOWN = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
GRADESCOPE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["score", "tests"],
    "properties": {
        "score": {"type": "number", "minimum": 0},
        **dict.fromkeys(["output"], TEXT),
        **dict.fromkeys(["execution_time"], NUMBER),
        **dict.fromkeys(["visibility", "stdout_visibility"], SHOWN),
        **dict.fromkeys(
            ["output_format", "test_output_format", "test_name_format"], FORMAT
        ),
        "extra_data": {"type": "object"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["score", "max_score"],
                "properties": {
                    **dict.fromkeys(["score", "max_score"], NUMBER),
                    "status": {"enum": ["passed", "failed"]},
                    **dict.fromkeys(["name", "number", "output"], TEXT),
                    **dict.fromkeys(["name_format", "output_format"], FORMAT),
                    "tags": {"type": "array", "items": TEXT},
                    "visibility": SHOWN,
                    "extra_data": {"type": "object"},
                },
            },
        },
    },
}


def test_gradescope_reads_our_report() -> None:
    """Also where nothing could be tried, and where every kind of result is there."""
    check = Draft202012Validator(GRADESCOPE)
    skipped = Result(WORD, LabOutcome.SKIPPED, "why")
    for results in ([Result(WORD, LabOutcome.PASSED), FAILED, skipped], [skipped], []):
        report = json.loads(gradescope_report(results))
        check.validate(report)
        assert report["score"] == sum(test["score"] for test in report["tests"])
    assert not check.is_valid(
        {"score": 1, "tests": [{"score": 1, "status": "skipped"}]}
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo", "Expected '='"),
        ("ecko = 1", "there is no stage 'ecko'"),
        ("echo = -1", "echo: -1 is not a number from 0"),
        ("echo = true", "echo: True is not a number from 0"),
        ("echo = nan", "echo: nan is not a number from 0"),
        (None, "can't read"),
    ],
)
def test_wrong_points(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "points.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=why.replace("'", ".")) as caught:
        read_points(str(path), STAGES)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


# --- the command --------------------------------------------------------------------------------------------------


def lab(*arguments: object, limit: float = 60) -> subprocess.CompletedProcess:
    """`tcp_lab` as a process."""
    code = "import sys; from python_tcp.lab_app import start_lab; sys.exit(start_lab())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit)


def test_from_the_ten_lines_to_a_green_stage(tmp_path: Path) -> None:
    """What a new user does: the server of chapter 01, then what the complaint says."""
    program = tmp_path / "server.py"
    code = ECHO_PROGRAM.replace('os.environ["PORT"]', "__import__('sys').argv[1]")
    ten = code.replace(
        "threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()",
        "serve(listener.accept()[0])",
    )
    program.write_text(ten)
    command = ["--", sys.executable, program, "{port}"]
    first = lab("run", "echo", "--limit", 0.5, *command)
    assert first.returncode == 1 and first.stderr == ""
    assert "Give each client a thread" in first.stdout
    program.write_text(code)
    second = lab("run", "echo", *command)
    assert second.returncode == 0, second.stdout
    assert "10 of 10 passed" in second.stdout


def test_the_files_for_a_teacher(tmp_path: Path) -> None:
    points = tmp_path / "points.toml"
    points.write_text("echo = 20")
    names = {name: tmp_path / name for name in ("json", "junit", "gradescope", "svg")}
    options = [word for name, path in names.items() for word in (f"--{name}", path)]
    command = ["--", sys.executable, "-c", "raise SystemExit(4)"]
    done = lab("run", "echo", "--points", points, *options, *command)
    assert done.returncode == 1
    assert json.loads(names["gradescope"].read_text())["score"] == 0
    assert len(json.loads(names["json"].read_text())["tests"]) == 10
    ElementTree.fromstring(names["svg"].read_text())
    ElementTree.parse(names["junit"])


def test_list_and_spec() -> None:
    listed = lab("list").stdout
    for name, stage in STAGES.items():
        assert f"{name} " in listed and stage.title in listed
        assert stage.spec.strip() in lab("spec", name).stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "tcp_lab: the following arguments are required: COMMAND"),
        (["run", "echo"], "tcp_lab run: give either --at HOST:PORT or --"),
        (["run", "ecko", "--", "x"], "tcp_lab run: argument STAGE: invalid choice"),
        (["run", "echo", "--at", "here"], "expected HOST:PORT, not 'here'"),
        (["run", "echo", "--at", "h:99999"], "expected HOST:PORT, not 'h:99999'"),
        (["run", "echo", "--limit", "0", "--", "x"], "expected seconds, not '0'"),
        (["run", "echo", "--port", "70000", "--", "x"], "--port: expected a number"),
        (["run", "echo", "--points", "/no", "--", "x"], "can't read /no"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list, why: str) -> None:
    done = lab(*arguments)
    assert done.returncode == 2
    assert why in done.stderr and len(done.stderr.splitlines()) == 1


def test_ctrl_c_ends_the_lab_and_the_program() -> None:
    code = "import sys; from python_tcp.lab_app import start_lab; sys.exit(start_lab())"
    mark = f"lab_test_{os.getpid()}"
    command = [sys.executable, "-c", code, "run", "echo", "--limit", "30", "--"]
    silent = ECHO_PROGRAM.replace("connection.sendall(data)", "pass")
    running = subprocess.Popen(
        [*command, sys.executable, "-c", silent, mark], stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: len(with_word(mark)) == 2)
        running.terminate()
        assert running.wait(60) == 130
        wait_until(lambda: with_word(mark) == [])
    finally:
        running.kill()
        running.wait()


def with_word(mark: str) -> list[str]:
    """The processes that have this word among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            pass
    return found


def test_a_stage_without_tests_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is installed without the folder protocol/."""
    monkeypatch.setitem(STAGES, "protocol", Stage("protocol", "", ""))
    with pytest.raises(ValueError, match="protocol has no tests"):
        chosen_stages(["protocol"], None)
