"""Answers to the exercises of the chapter on the lab's lines and frames."""

from exercises import right, wrong

from python_tcp.lab import Bench


@wrong("check_nul", "Against ends_at_nul it: expected 'failed'")
def only_sends(bench: Bench) -> None:
    bench.connect("ann").send(b"a\0b\n")


@wrong("check_nul", "Against ends_at_nul it: expected 'failed'")
def nul_at_the_end(bench: Bench) -> None:
    """Without what comes behind it, the answers differ in nothing that is looked at."""
    ann = bench.connect("ann")
    ann.send(b"ab\n")
    ann.expect(b"2 ab\n", "A line")


@wrong("check_nul", "Against serve_lines it: expected 'passed'")
def nul_is_not_counted(bench: Bench) -> None:
    ann = bench.connect("ann")
    ann.send(b"a\0b\n")
    ann.expect(b"2 a\0b\n", "A line with a NUL")


@right("check_nul")
def in_pieces(bench: Bench) -> None:
    ann = bench.connect("ann")
    ann.send(b"a", b"\0", b"b\n")
    ann.expect(b"3 a\0b\n", "A line with a NUL")


@right("check_nul")
def several(bench: Bench) -> None:
    ann = bench.connect("ann")
    for line in (b"\0", b"a\0", b"\0b", b"a\0\0b"):
        ann.send(line + b"\n")
        ann.expect(b"%d %s\n" % (len(line), line), f"The answer to {line!r}")
