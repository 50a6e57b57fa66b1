"""Our own server as anybody would start it, flood control off. `--echo` is `EventDrivenTCPServer` with no handler."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from python_tcp.chat_server import ChatServer
from python_tcp.filewriter import FileWriter
from python_tcp.protocol import JSONLines, Limits
from python_tcp.server import EventDrivenTCPServer


FREE = {"connections": 20000, "flood_burst": 0, "connections_per_address": 0}


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that writes its log to the disk once a second, on any core."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp()
    keeps = "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"
    words = "redis-server", "--port", str(port), "--dir", folder, *keeps
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, range(os.cpu_count() or 1))
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def through_redis(args: argparse.Namespace, url: str) -> None:
    """One node, or two workers."""
    from python_tcp.cluster import ClusterNode
    from python_tcp.redis_place import parse_redis_url

    if not args.workers:
        node, limits = ClusterNode(parse_redis_url(url)), Limits(**FREE)
        with ChatServer(args.host, args.port, limits=limits, rules=node.open) as server:
            print(server.port, flush=True)
            sys.stdin.read()
        return
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("[limits]\n" + "".join(f"{key} = {FREE[key]}\n" for key in FREE))
        file.flush()
        code = "import sys; from python_tcp.chat_app import start_server; sys.exit(start_server())"
        options = "--redis", url, "--workers", "2", "--config", file.name
        where = "--host", args.host, "--port", str(args.port)
        command = [sys.executable, "-c", code, *where, *options]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, range(os.cpu_count() or 1))
        lines = (line.decode() for line in process.stdout)
        started = (line for line in lines if "chat server on" in line)
        port = [next(started) for _ in range(2)][0].split(";")[0].rpartition(":")[2]
        print(port, flush=True)
        sys.stdin.read()
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--history", help="keep the messages in this file")
    parser.add_argument(
        "--free",
        action="store_true",
        help="say that messages are kept, and keep nothing: what is left is the waiting",
    )
    parser.add_argument(
        "--tls", action="store_true", help="over TLS, with a certificate of its own"
    )
    parser.add_argument(
        "--web", action="store_true", help="for browsers: the port speaks WebSocket"
    )
    parser.add_argument("--echo", action="store_true")
    parser.add_argument(
        "--redis", action="store_true", help="keep the log in a Redis of its own"
    )
    parser.add_argument(
        "--workers", action="store_true", help="two processes on the port"
    )
    args = parser.parse_args()
    if args.free:
        setattr(FileWriter, "_keep", lambda writer, batch, forgotten: None)
    tls = None
    if args.tls:
        from python_tcp.certificates import self_made_certificate
        from python_tcp.handshakes import ServerTLS

        with tempfile.TemporaryDirectory() as folder:
            tls = ServerTLS(self_made_certificate(f"{folder}/chat.db", args.host))
    dialect = JSONLines
    if args.web:
        from python_tcp.web import web_dialect

        dialect = web_dialect(args.host)
    if args.redis:
        with redis_server() as url:
            return through_redis(args, url)
    if args.echo:
        server = EventDrivenTCPServer(args.host, args.port)
    else:
        limits = Limits(connections=20000, flood_burst=0, connections_per_address=0)
        options = {"history": args.history, "tls": tls, "dialect": dialect}
        server = ChatServer(args.host, args.port, limits=limits, **options)
    with server:
        print(server.port, flush=True)
        sys.stdin.read()  # until whoever started us is gone


if __name__ == "__main__":
    main()
