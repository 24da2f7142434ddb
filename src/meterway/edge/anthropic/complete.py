"""POST /v1/complete, the legacy text completions.

Follows https://docs.anthropic.com/en/api/complete
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from meterway.edge.anthropic.headers import travelling
from meterway.edge.http import Request
from meterway.edge.serving import ChatEndpoint, Desk
from meterway.kit.json import RawObject
from meterway.protocols.chat.anthropic_complete import (
    ANTHROPIC_COMPLETE,
    check_version,
    limit_tokens,
)

PATH = "/v1/complete"
MostOutput: TypeAlias = Callable[[str], int | None]


def endpoint(desk: Desk, most_output: MostOutput) -> ChatEndpoint:
    """Return the handler of the route.

    `most_output` tells the most tokens a model by any of its names can write, None where nobody
    knows.
    """
    return ChatEndpoint(ANTHROPIC_COMPLETE, desk, partial(_passed, most_output))


def _passed(most_output: MostOutput, request: Request, body: RawObject) -> Mapping[str, str]:
    """Hold `body` to its model's limit and return the headers that travel on.

    Raises `InvalidRequestError`.
    """
    check_version(request.text(b"anthropic-version"))
    limit_tokens(body, most_output)
    return travelling(request)
