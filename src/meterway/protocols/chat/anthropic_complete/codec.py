"""The codec of Anthropic's legacy text completions, which chat models answer.

Follows https://docs.anthropic.com/en/api/complete. A prompt's `Human` and `Assistant` turns become
a chat's, what stands before them its system prompt, and text after the last `Assistant:` what the
reply begins with; of reasoning the client is told nothing.
"""

from collections.abc import Iterable

from meterway.kit.json import RawObject
from meterway.protocols.chat import anthropic_family, neutral
from meterway.protocols.chat.anthropic_complete import reply_out, request_in, stream_out
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.sizes import Sizes
from meterway.protocols.dialects import Dialect


class AnthropicComplete:
    """Implements `ClientCodec`."""

    dialect = Dialect.ANTHROPIC_COMPLETE
    through = None

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need. Raises `InvalidRequestError`."""
        return request_in.read_facts(body)

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request; all of it is text."""
        return Sizes(sum(map(len, body.values())))

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell nothing: the dialect has no thoughts."""
        del body
        return ()

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request. Raises `InvalidRequestError` naming the field at fault."""
        return request_in.decode_request(body)

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole reply for a client."""
        return reply_out.encode_reply(reply)

    def stream_encoder(self, request: neutral.Request) -> stream_out.CompleteStreamEncoder:
        """Return an encoder for one client stream."""
        return stream_out.CompleteStreamEncoder(request.model)

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error."""
        return anthropic_family.encode_failure(failure)


ANTHROPIC_COMPLETE = AnthropicComplete()
