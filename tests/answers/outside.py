"""Answers to the exercises of the chapter outside."""

import re
from typing import Any

from exercises import right, wrong


@wrong("check_reachable", "With 127.0.0.1:8000: expected []")
def all_ports(text: str) -> list[int]:
    return sorted({int(p) for p in re.findall(r":(\d+) ", text)})


@wrong(
    "check_reachable", "With 10.0.0.1:9000, 127.0.0.1:9001: expected [9000], but got []"
)
def all_addresses_only(text: str) -> list[int]:
    rows = [line.split()[3] for line in text.splitlines()[1:]]
    return sorted(
        {
            int(row.rpartition(":")[2])
            for row in rows
            if row.startswith(("0.", "[::]", "*"))
        }
    )


@wrong(
    "check_reachable", "With 0.0.0.0:8000, [::]:8000, 0.0.0.0:443: expected [443, 8000]"
)
def each_time(text: str) -> list[int]:
    rows = [line.split()[3] for line in text.splitlines()[1:]]
    open_ = [row for row in rows if not row.startswith(("127.", "[::1]"))]
    return sorted(int(row.rpartition(":")[2]) for row in open_)


@wrong("check_reachable", "With 0.0.0.0:10000, 0.0.0.0:9000: expected [9000, 10000]")
def sorted_as_text(text: str) -> list[int]:
    rows = [line.split()[3] for line in text.splitlines()[1:]]
    open_ = {row for row in rows if not row.startswith(("127.", "[::1]"))}
    return [int(port) for port in sorted({row.rpartition(":")[2] for row in open_})]


@wrong("check_reachable", "exception ended it, in")
def at_the_first_colon(text: str) -> list[int]:
    found = []
    for line in text.splitlines()[1:]:
        host, port = line.split()[3].split(":")
        if not host.startswith("127."):
            found.append(int(port))
    return sorted(set(found))


@right("check_reachable")
def with_a_pattern(text: str) -> list[int]:
    found = re.findall(r"^LISTEN +\d+ +\d+ +(?!127\.|\[::1\])\S*:(\d+) ", text, re.M)
    return sorted(map(int, set(found)))


@right("check_reachable")
def by_columns(text: str) -> list[int]:
    _, *lines = text.split("\n")
    ports = []
    for line in lines:
        match line.split():
            case [_, _, _, local, *_]:
                if local[:4] != "127." and local[:5] != "[::1]":
                    port = int(local[local.rindex(":") + 1 :])
                    if port not in ports:
                        ports.append(port)
    ports.sort()
    return ports


Sock = Any
Lines = list[bytes]


@wrong("check_ask", "How many are open")
def one_at_a_time(sock: Sock, questions: Lines) -> Lines:
    answers = []
    with sock.makefile("rb") as lines:
        for question in questions:
            sock.sendall(question + b"\n")
            answers.append(lines.readline().rstrip())
    return answers


@wrong("check_ask", "How many are open")
def all_at_once(sock: Sock, questions: Lines) -> Lines:
    sock.sendall(b"".join(question + b"\n" for question in questions))
    with sock.makefile("rb") as lines:
        return [lines.readline().rstrip() for _ in questions]


@wrong("check_ask", "The answers to 2 questions")
def a_recv_for_an_answer(sock: Sock, questions: Lines) -> Lines:
    answers, waiting = [], 0
    for question in questions:
        if waiting == 3:
            answers.append(sock.recv(4096).rstrip())
            waiting -= 1
        sock.sendall(question + b"\n")
        waiting += 1
    return answers + [sock.recv(4096).rstrip() for _ in range(waiting)]


@wrong("check_ask", "It reads; is a question open?")
def reads_to_the_end(sock: Sock, questions: Lines) -> Lines:
    for question in questions[:3]:
        sock.sendall(question + b"\n")
    data = b""
    while chunk := sock.recv(4096):
        data += chunk
        if questions[3:] and data.endswith(b"\n"):
            sock.sendall(questions.pop(3) + b"\n")
    return data.splitlines()


@wrong("check_ask", "The answers to 2 questions")
def with_their_ends(sock: Sock, questions: Lines) -> Lines:
    with sock.makefile("rb") as lines:
        sock.sendall(b"".join(q + b"\n" for q in questions[:3]))
        answers = []
        for number in range(len(questions)):
            answers.append(lines.readline())
            if number + 3 < len(questions):
                sock.sendall(questions[number + 3] + b"\n")
        return answers


@right("check_ask")
def first_three_then_one_for_one(sock: Sock, questions: Lines) -> Lines:
    return [answer.rstrip(b"\n") for answer in with_their_ends(sock, questions)]


@right("check_ask")
def with_recv(sock: Sock, questions: Lines) -> Lines:
    answers: Lines = []
    data, sent = b"", 0
    while len(answers) < len(questions):
        while sent < min(len(answers) + 3, len(questions)):
            sock.sendall(questions[sent] + b"\n")
            sent += 1
        while b"\n" not in data:
            data += sock.recv(1000)
        answer, _, data = data.partition(b"\n")
        answers.append(answer)
    return answers
