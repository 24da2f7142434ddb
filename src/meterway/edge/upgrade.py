"""Handing a connection over from HTTP to another protocol.

A request that asks to upgrade finds the connection in `scope["extensions"][UPGRADE]`. A handler
that does not look is served as by plain HTTP; one that does may refuse like any other request,
since until the hand-over it is one.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from meterway.edge.limits import Limits
from meterway.kit.errors import MeterwayError
from meterway.kit.outbox import Outbox

UPGRADE = "meterway.upgrade"


class UpgradeRequiredError(MeterwayError):
    """What was asked for is served by another protocol, which `protocol` names."""

    status, code = 426, "upgrade_required"

    def __init__(self, message: str, protocol: str) -> None:
        super().__init__(message)
        self.protocol = protocol


class Successor(asyncio.Protocol, ABC):
    """Who speaks on a connection after HTTP; the server's sweep looks after its `deadline`."""

    deadline: float

    @abstractmethod
    def expire(self, now: float) -> None:
        """Act on the passed deadline, and set the next one or end."""

    @abstractmethod
    def shutdown(self) -> None:
        """The server ends: close now, or after the answer under way."""


class Handover(Protocol):
    """A connection that can be handed over."""

    transport: asyncio.Transport
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    server_state: ServerState

    @property
    def limits(self) -> Limits:
        """What the connection may cost."""

    @property
    def outbox(self) -> Outbox:
        """Where what is written to it is posted."""

    def hand_over(self, head: bytes, successor: Successor) -> None:
        """Answer the request with `head`, and have `successor` go on from there.

        Raises `InvalidRequestError` where the client did not wait for the answer or sent a body,
        and `ClientGoneError`.
        """
