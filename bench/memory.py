"""What people cost in memory: a real `chat_server`, and so many who have joined and talk.

    python -m bench.memory                    # 1000 people, without and with TLS
    python -m bench.memory --people 200

It needs Linux: the figures come from /proc. All come from one address, so the limits of
addresses are off; so is flood control. Rooms have ten people each, everybody says one
message, and everybody hears ten.
"""

import argparse
import json
import re
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "import sys; from python_tcp.chat_app import start_server as main; sys.exit(main())"
)
LIMITS = """
[limits]
connections = 10_000
connections_per_address = 0
connections_per_network = 0
connect_rate = 1e6
join_rate = 1e6
flood_burst = 0
join_timeout = 600
ping_after = 600
"""


def resident(process: int) -> float:
    """MiB of memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) / 1024


def connect(port: int, context: ssl.SSLContext | None) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    return context.wrap_socket(sock) if context else sock


def say(sock: socket.socket, type: str, **fields: object) -> None:
    sock.sendall(json.dumps({"type": type, **fields}).encode() + b"\n")


def hear(socks: list[socket.socket], messages: int) -> None:
    """Read until each has heard so many messages."""
    with selectors.DefaultSelector() as selector:
        counts = dict.fromkeys(socks, 0)
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        while min(counts.values()) < messages:
            ready = selector.select(30)
            assert ready, "nothing was heard for 30 seconds"
            for key, _ in ready:
                data = key.fileobj.recv(65_536)
                assert data, f"the server has closed {key.fileobj}"
                counts[key.fileobj] += data.count(b'"type":"message"')


def measure(people: int, tls: bool, folder: Path) -> dict[str, float]:
    """MiB before anybody came, with all of them joined, and after they have talked."""
    (config := folder / "chat.toml").write_text(LIMITS)
    command = [sys.executable, "-c", CODE, "--port", "0", "--config", config]
    command += ["--data", folder / "chat.db"]
    command += ["--tls-self"] if tls else []
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        port = int(re.search(r":(\d+);", server.stdout.readline())[1])
        subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
        with connect(port, context) as first:  # what the first one costs, all have
            say(first, "join", username="first", room="first")
            say(first, "message", content="x")
            hear([first], 1)
            before = resident(server.pid)
            socks = [connect(port, context) for _ in range(people)]
            idle = resident(server.pid)
            for number, sock in enumerate(socks):
                room = f"room{number // 10}"
                say(sock, "join", username=f"user{number}", room=room)
                say(sock, "message", content=f"hello from {number}, " + "x" * 40)
            hear(socks[::10], 10)
            after = resident(server.pid)
            for sock in socks:
                sock.close()
        return {"before": before, "connected": idle, "talking": after}
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="What people cost in memory.")
    parser.add_argument("--people", type=int, default=1000)
    people = parser.parse_args().people
    for tls in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(people, tls, Path(folder))
        one = (found["talking"] - found["before"]) * 1024 / people
        figures = ", ".join(f"{value:.1f} MiB {name}" for name, value in found.items())
        print(f"{'TLS' if tls else 'clear'}: {figures}; {one:.1f} KiB a person")


if __name__ == "__main__":
    main()
