"""Every event loop, a scripted server, and certificates to trust."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.factories.trust import Trust, new_trust
from tests.fakes.upstream_server import UpstreamServer


def pytest_asyncio_loop_factories(config, item) -> dict[str, Callable[[], object]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def trust(tmp_path_factory) -> Trust:
    return new_trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture
async def server() -> AsyncIterator[UpstreamServer]:
    async with UpstreamServer() as upstream:
        yield upstream
