"""Short ways to say what a transport test sends and reads."""

import asyncio

from meterway.upstreams.transport import Outgoing, Response, Transport, Url
from meterway.upstreams.types import Timeouts
from tests.fakes.upstream_server import DEADLINE

JSON = ((b"content-type", b"application/json"),)


def outgoing(
    url: Url,
    body: bytes = b"{}",
    *,
    method: str = "POST",
    headers=JSON,
    timeouts: Timeouts | None = None,
) -> Outgoing:
    return Outgoing(
        url=url, headers=headers, body=body, method=method, timeouts=timeouts or Timeouts()
    )


async def send(transport: Transport, request: Outgoing) -> Response:
    async with asyncio.timeout(DEADLINE):
        return await transport.send(request)


async def whole(transport: Transport, request: Outgoing, limit: int = 1 << 30) -> bytes:
    async with asyncio.timeout(DEADLINE):
        response = await transport.send(request)
        return await response.read(limit)


async def chunks(response: Response) -> list[bytes]:
    async with asyncio.timeout(DEADLINE):
        return [chunk async for chunk in response]


async def first(response: Response) -> bytes:
    async with asyncio.timeout(DEADLINE):
        return await anext(aiter(response))
