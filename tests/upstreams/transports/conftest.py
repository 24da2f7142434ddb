"""Every transport on every event loop, a scripted upstream, and certificates to trust."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
import uvloop

from meterway.upstreams.transport import Transport
from meterway.upstreams.transports.native import NativeTransport
from meterway.upstreams.transports.native.pool import default_context
from meterway.upstreams.transports.reqwest import ReqwestTransport
from tests.fakes.upstream_server import UpstreamServer


def pytest_asyncio_loop_factories(config, item) -> dict[str, Callable[[], object]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


class Trust(NamedTuple):
    """An authority of our own: its PEM file, and a server context for any host name."""

    ca_file: str
    serve: Callable[[str], ssl.SSLContext]


@pytest.fixture(scope="session")
def trust(tmp_path_factory) -> Trust:
    authority = trustme.CA()
    path: Path = tmp_path_factory.mktemp("trust") / "ca.pem"
    authority.cert_pem.write_to_path(path)

    def serve(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    return Trust(str(path), serve)


@pytest.fixture(params=["native", "reqwest"])
def kind(request) -> str:
    return str(request.param)


@pytest.fixture
async def server() -> AsyncIterator[UpstreamServer]:
    async with UpstreamServer() as upstream:
        yield upstream


@pytest.fixture
async def transport(server, kind) -> AsyncIterator[Transport]:
    made: Transport = NativeTransport() if kind == "native" else ReqwestTransport()
    yield made
    await made.close()


@pytest.fixture
async def trusting(kind, trust) -> AsyncIterator[Transport]:
    """A transport that trusts our own authority."""
    made: Transport = (
        NativeTransport(tls=default_context(trust.ca_file))
        if kind == "native"
        else ReqwestTransport(ca_file=trust.ca_file)
    )
    yield made
    await made.close()


@pytest.fixture
async def native(server) -> AsyncIterator[NativeTransport]:
    made = NativeTransport()
    yield made
    await made.close()
