"""Our own server as anybody would start it, flood control off. `--echo` is `EventDrivenTCPServer` with no handler."""

from __future__ import annotations

import argparse
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--history", help="keep the messages in this file")
    parser.add_argument("--echo", action="store_true")
    args = parser.parse_args()
    if args.echo:
        from python_tcp.server import EventDrivenTCPServer

        server = EventDrivenTCPServer(args.host, args.port)
        server.start()
        port = server.port
    else:
        from python_tcp.chat_app import ChatServer
        from python_tcp.protocol import Limits

        wanted = {"connections": 20000, "flood_burst": 0}  # 0: no flood control
        limits = Limits(
            **{
                name: value
                for name, value in wanted.items()
                if name in Limits.__struct_fields__
            }
        )
        if args.history:
            try:
                server = ChatServer(
                    args.host, args.port, limits=limits, history=args.history
                )
            except TypeError:
                sys.exit("not supported: this ChatServer keeps no history yet")
        else:
            server = ChatServer(args.host, args.port, limits=limits)
        port = server.start()
    print(port, flush=True)
    sys.stdin.read()  # until whoever started us is gone
    server.stop()


if __name__ == "__main__":
    main()
