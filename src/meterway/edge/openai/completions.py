"""POST /v1/completions, the legacy text completions.

Follows https://platform.openai.com/docs/api-reference/completions/create
"""

from collections.abc import Mapping

from meterway.edge.http import Request
from meterway.edge.serving import ChatEndpoint, Desk
from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import ClientCodec
from meterway.protocols.chat.openai_completions import OPENAI_COMPLETIONS

PATH = "/v1/completions"


class Completions(ChatEndpoint):
    """The handler of the route: a reply may repeat the prompt, so each call has its own codec."""

    def codec_for(self, body: RawObject) -> ClientCodec:
        """Return the codec of one call. Raises `InvalidRequestError`."""
        return OPENAI_COMPLETIONS.for_call(body)


def endpoint(desk: Desk) -> Completions:
    """Return the handler of the route."""
    return Completions(OPENAI_COMPLETIONS, desk, _passed)


def _passed(request: Request, body: RawObject) -> Mapping[str, str]:  # noqa: ARG001 - a Passed
    """Pass nothing on: organisation and project headers name accounts of the caller's, not ours."""
    return {}
