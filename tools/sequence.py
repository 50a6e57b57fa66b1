"""Records a conversation of two people with a real server and draws it: `python tools/sequence.py [FILE.svg]`.

The picture is on the home page. Every arrow is something that went through the recorder.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from python_tcp.broadcast import BroadcastServer  # noqa: E402
from python_tcp.trace import Recorder  # noqa: E402


def record() -> str:
    """The drawing of a short conversation in the room of the chapter on broadcasting."""
    with BroadcastServer() as server:
        with Recorder(
            server.host, server.port, title="What really went over the wire"
        ) as trace:
            ann = trace.connect("ann")
            trace.wait_for("ann", "NICK")
            ann.sendall(b"ann\n")
            trace.wait_for("ann", "ann joined")
            bob = trace.connect("bob")
            trace.wait_for("bob", "NICK")
            bob.sendall(b"bob\n")
            for name in ("ann", "bob"):
                trace.wait_for(name, "bob joined")
            ann.sendall(b"Hello, Bob!\n")
            for name in ("ann", "bob"):
                trace.wait_for(name, "ann: Hello, Bob!")
            with (
                ann,
                ann.makefile("rb") as heard,
            ):  # what is unread at a close makes a RST
                while heard.readline() != b"ann: Hello, Bob!\n":
                    pass
            trace.wait_for("bob", "ann left")
            trace.wait_until(lambda event: event.kind == "FIN", 2, "the end", 5.0)
            drawing = trace.drawing().svg()
            bob.close()
    return drawing


if __name__ == "__main__":
    default = ROOT / "nbs" / "images" / "sequence.svg"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.write_text(record(), encoding="utf-8")
