"""An authority of our own, and server certificates it signs for any name."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import trustme


class Trust(NamedTuple):
    """An authority of our own: its PEM file, and a server context for any host name."""

    ca_file: str
    serve: Callable[[str], ssl.SSLContext]


def new_trust(folder: Path) -> Trust:
    """Make an authority and keep its certificate in `folder`."""
    authority = trustme.CA()
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(path)

    def serve(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    return Trust(str(path), serve)
