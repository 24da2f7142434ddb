"""Every transport on every event loop, a scripted upstream, and certificates to trust."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from meterway.kit.tls import default_context
from meterway.upstreams.transport import Transport
from meterway.upstreams.transports.native import NativeTransport
from meterway.upstreams.transports.reqwest import ReqwestTransport
from tests.factories.trust import Trust, new_trust
from tests.fakes.upstream_server import UpstreamServer


def pytest_asyncio_loop_factories(config, item) -> dict[str, Callable[[], object]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def trust(tmp_path_factory) -> Trust:
    return new_trust(tmp_path_factory.mktemp("trust"))


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
