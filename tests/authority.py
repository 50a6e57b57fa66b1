"""Certificates for tests: an authority of our own, and what servers may show that is wrong."""

import datetime
import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from python_tcp.handshakes import ServerTLS
from python_tcp.security import ClientTLS, client_context

NAMES = "localhost", "127.0.0.1"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
_folder = TemporaryDirectory(prefix="python_tcp-certificates-")
_ca, _stranger = trustme.CA(), trustme.CA()


def _file(name: str) -> str:
    return str(Path(_folder.name) / name)


def server_file(kind: str = "good") -> str:
    """A PEM file with certificate and key for a server on this machine."""
    return _server_file(kind)


@cache
def _server_file(kind: str) -> str:
    if kind == "self-signed":
        return _self_signed(_file("self-signed.pem"))
    ca, names, times = _ca, NAMES, {}
    if kind == "expired":
        times = {"not_before": NOW - 2 * DAY, "not_after": NOW - DAY}
    elif kind == "not yet valid":
        times = {"not_before": NOW + DAY, "not_after": NOW + 2 * DAY}
    elif kind == "other name":
        names = ("chat.example.org",)
    elif kind == "stranger":
        ca = _stranger
    issued = ca.issue_cert(*names, **times)
    issued.private_key_and_cert_chain_pem.write_to_path(path := _file(f"{kind}.pem"))
    return path


def _self_signed(path: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    Path(path).write_bytes(certificate.public_bytes(pem) + private)
    return path


@cache
def ca_file() -> str:
    """The authority, for clients that believe in it."""
    _ca.cert_pem.write_to_path(path := _file("ca.pem"))
    return path


def server_tls(kind: str = "good", **options: float) -> ServerTLS:
    return ServerTLS(server_file(kind), **options)


def client_tls() -> ClientTLS:
    return ClientTLS(client_context(ca_file()))


def raw_context(**settings: object) -> ssl.SSLContext:
    """For a plain `SSLSocket` that believes everybody; `settings` are attributes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context
