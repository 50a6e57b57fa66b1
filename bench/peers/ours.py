"""Our own server as anybody would start it, flood control off. `--echo` is `EventDrivenTCPServer` with no handler."""

from __future__ import annotations

import argparse
import sys
import tempfile

from python_tcp.chat_server import ChatServer
from python_tcp.filewriter import FileWriter
from python_tcp.protocol import JSONLines, Limits
from python_tcp.server import EventDrivenTCPServer


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
