"""Serves the tutorial site and runs a chat server, until Ctrl-C or SIGTERM. `make run` calls it."""

import argparse
import errno
import signal
import socket
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from python_tcp.chat_app import ChatServer
from python_tcp.core import bare_host, format_address, own_addresses
from python_tcp.dialects import Listener
from python_tcp.web import web_dialect

ROOT = Path(__file__).resolve().parent.parent
BIN = ".venv\\Scripts\\" if sys.platform == "win32" else ".venv/bin/"
DEFAULT_CHAT_PORT = 8000  # what chat_client takes where it is told none
DEFAULT_WEB_PORT = 8001


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """No line for each request."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Serve the tutorial site and run a chat server."
    )
    parser.add_argument(
        "--site",
        type=Path,
        default=ROOT / "_docs",
        help="the built site (default: _docs)",
    )
    parser.add_argument(
        "--host",
        type=bare_host,
        default="127.0.0.1",
        help="the address to serve on (default: 127.0.0.1; 0.0.0.0: every one of IPv4)",
    )
    parser.add_argument("--site-port", type=int, default=8080, help="default: 8080")
    parser.add_argument(
        "--chat-port", type=int, default=DEFAULT_CHAT_PORT, help="default: 8000"
    )
    parser.add_argument(
        "--web-port",
        type=int,
        default=DEFAULT_WEB_PORT,
        help="of the chat in a browser (default: 8001)",
    )
    options = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    host = options.host
    try:
        site = site_server(host, options.site_port, options.site)
    except OSError as error:
        return complain(error, options.site_port, "site", "--site-port")
    with site:
        web = Listener("web", web_dialect(host), host, options.web_port)
        chat = ChatServer(host, options.chat_port, listeners=[web])
        try:
            chat_port = chat.start()
        except OSError as error:
            if str(error.filename).endswith(f":{options.web_port}"):
                return complain(error, options.web_port, "page", "--web-port")
            return complain(error, options.chat_port, "chat", "--chat-port")
        threading.Thread(target=site.serve_forever, args=[0.05]).start()
        try:
            web_port = int(chat.listening("web")[0].rpartition(":")[2])
            ports = site.server_port, chat_port, web_port
            for address in own_addresses(host) or [host]:
                say_where(address, *ports)
            print("Ctrl-C ends both.", flush=True)
            while not over.wait(1):  # not longer: Windows hears Ctrl-C between two
                pass
        finally:
            site.shutdown()
            chat.stop()
    print("Both have ended.")
    return 0


def site_server(host: str, port: int, folder: Path) -> ThreadingHTTPServer:
    """What serves the pages. It is open already."""
    kind = type("Site", (ThreadingHTTPServer,), {"address_family": family(host)})
    return kind((host, port), partial(Quiet, directory=folder))


def family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]


def say_where(host: str, site_port: int, chat_port: int, web_port: int) -> None:
    """What to type, on this machine or, where it serves others, on theirs."""
    print(f"The book: http://{format_address(host, site_port)}")
    here = host == "127.0.0.1" and chat_port == DEFAULT_CHAT_PORT
    address = "" if here else f"{host} {chat_port} "
    print(
        f"The chat: {format_address(host, chat_port)}. To join, in another terminal: {BIN}chat_client {address}--username YOU"
    )
    print(f"The chat in a browser: http://{format_address(host, web_port)}")


def complain(error: OSError, port: int, what: str, option: str) -> int:
    if error.errno == errno.EADDRINUSE:
        print(
            f"Port {port} is in use: end the program that has it, or choose another for the {what}: "
            f"{BIN}python tools/run.py {option} PORT",
            file=sys.stderr,
        )
    else:
        said = error.strerror or error
        print(f"The {what} can't be served on port {port}: {said}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
