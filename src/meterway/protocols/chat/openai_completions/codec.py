"""The codec of OpenAI's legacy text completions, which chat models answer.

Follows https://platform.openai.com/docs/api-reference/completions. A prompt becomes one user
message without a system prompt, so a chat model answers it, as it would in a chat, rather than
going on writing it; of reasoning the client is told the tokens alone.
"""

from collections.abc import Iterable

from meterway.kit.clock import Clock, SystemClock
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral, openai_family
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.openai_completions import reply_out, request_in, stream_out
from meterway.protocols.chat.openai_completions.prompts import echo_of
from meterway.protocols.chat.sizes import Sizes
from meterway.protocols.dialects import Dialect


class OpenAICompletions:
    """Implements `ClientCodec`; `clock` dates replies of upstreams that don't.

    Every choice of its replies begins with `echoed`; `for_call` makes the codec of a call that
    wants its prompt back.
    """

    dialect = Dialect.OPENAI_COMPLETIONS
    through = None

    def __init__(self, clock: Clock, echoed: str = "") -> None:
        self._clock = clock
        self._echoed = echoed

    def for_call(self, body: RawObject) -> "OpenAICompletions":
        """Return the codec of the call that asks `body`. Raises `InvalidRequestError`."""
        echoed = echo_of(body)
        return OpenAICompletions(self._clock, echoed) if echoed else self

    def facts(self, body: RawObject) -> Facts:
        """Read what routing and metering need."""
        return request_in.read_facts(body)

    def sizes(self, body: RawObject) -> Sizes:
        """Measure a request; all of it is text."""
        return Sizes(sum(map(len, body.values())))

    def makers(self, body: RawObject) -> Iterable[str]:
        """Tell nothing: the dialect has no thoughts."""
        del body
        return ()

    def decode_request(self, body: RawObject) -> neutral.Request:
        """Read a client's request."""
        return request_in.decode_request(body)

    def encode_reply(self, reply: neutral.Reply) -> bytes:
        """Write a whole reply for a client."""
        return reply_out.encode_reply(reply, self._now(), self._echoed)

    def stream_encoder(self, request: neutral.Request) -> stream_out.CompletionStreamEncoder:
        """Return an encoder for one client stream answering `request`."""
        return stream_out.CompletionStreamEncoder(
            include_usage=request.include_usage, now=self._now(), echoed=self._echoed
        )

    def encode_failure(self, failure: neutral.Failed) -> bytes:
        """Write the stream event that tells a client of an error after the first byte."""
        return openai_family.encode_failure(failure)

    def _now(self) -> int:
        return int(self._clock.now())


OPENAI_COMPLETIONS = OpenAICompletions(SystemClock())
