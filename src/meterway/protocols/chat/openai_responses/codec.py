"""OpenAI's Responses API as a chat dialect."""

from meterway.kit.json import RawObject
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_responses import facts
from meterway.protocols.chat.openai_responses.frame import Frame
from meterway.protocols.chat.sizes import Sizes, sizes_of_items
from meterway.protocols.dialects import Dialect


class OpenAIResponses:
    """The codec of `POST /v1/responses`."""

    dialect = Dialect.OPENAI_RESPONSES

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need. Raises `InvalidRequestError`."""
        return facts.read_facts(body)

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request."""
        return sizes_of_items(body)


class ResponsesTurn(OpenAIResponses):
    """The same codec for one call, whose reply is framed by what its request said."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
