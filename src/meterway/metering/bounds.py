"""The most a call can cost, known before it is made and without counting a token: its hold.

The bound is no proof. It holds for what the usual tokenizers make of text (two bytes a token, or
more) and for the largest image each family takes; it does not know of tools the vendor runs beyond
a cap for each, nor of answers longer than 8,192 tokens that nobody limited. What a call uses above
its hold is the ledger's to cover, see the decision on money.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from meterway.catalog.tariffs import PPM, Resolved
from meterway.catalog.types import Model
from meterway.kit.money import MOST, Nanos
from meterway.metering.pricing import factor_of, rounded, step_of
from meterway.protocols.chat.sizes import Sizes
from meterway.tokens.families import ClaudeFamily, Images, OpenAIFamily, family_of

_BYTES_A_TOKEN: Final = 2
_USUAL_OUTPUT: Final = 8192
_LARGEST_CONTEXT: Final = 2_000_000
_ENDLESS: Final = 2**62
_MOST_TILES: Final = 8  # 768 by 2,048 pixels in squares of 512
_MOST_PATCHES: Final = 1536
_CLAUDE_FRAME: Final = 3  # around each image
_ANY_IMAGE: Final = 16_384  # Qwen's, the largest of the vendors whose arithmetic is not ours
_DOCUMENT: Final = 220_000  # a hundred pages of 2,200 tokens
_SERVER_TOOL: Final = 50_000  # what searches and fetches of one tool add to the input


class Ceiling:
    """The most calls of one model can cost at one price; made once for all of them.

    `multipliers` are millionths, `model` None is a model nobody knows, `service` the service tier
    asked for. Raises `UnpricedServiceError`.
    """

    __slots__ = (
        "_context",
        "_factor",
        "_is_list_price",
        "_model",
        "_multipliers",
        "_rates",
        "_written",
    )

    def __init__(
        self,
        rates: Resolved,
        multipliers: Sequence[int] = (),
        *,
        model: Model | None = None,
        service: str | None = None,
    ) -> None:
        self._rates = rates
        self._factor = factor_of(rates, service)
        self._multipliers = multipliers
        self._is_list_price = self._factor == PPM and not multipliers
        self._model = "" if model is None else model.id
        self._context = _LARGEST_CONTEXT
        self._written = _ENDLESS
        if model is not None and model.context is not None:
            self._context = model.context
        if model is not None and model.max_output is not None:
            self._written = model.max_output

    def of(self, sizes: Sizes, max_tokens: int | None = None, choices: int = 1) -> Nanos:
        """Return what a call costs at most, every token at the dearest rate that can apply.

        Input is bounded by half the bytes of text and the model's context window, plus the largest
        image its family takes for each image, a hundred pages for each document and a cap for each
        tool the vendor runs; output by `choices` times `max_tokens` (8,192 where None) and the
        model's own limit.
        """
        text, media = sizes.text, sizes.images or sizes.documents or sizes.sounds
        if text is None or media or sizes.tools:
            read = self._read(sizes)
        else:
            read = min((text + 1) // _BYTES_A_TOKEN, self._context)
        written = _USUAL_OUTPUT if max_tokens is None else max_tokens
        written = min(written, self._written)
        if choices > 1:
            written *= choices
        steps, request = self._rates.steps, self._rates.request
        step = steps[0] if len(steps) == 1 else step_of(self._rates, read)
        amount = read * (step.media if media or text is None else step.input) + request * PPM
        if written > 0:
            amount += written * step.output
        if self._is_list_price:
            most = -(-amount // PPM)
            return min(MOST, most)
        return rounded(amount, self._factor, self._multipliers)

    def _read(self, sizes: Sizes) -> int:
        """Return the tokens read at most, where text is not all that is to be read."""
        read = self._context
        if sizes.text is not None:
            read = (sizes.text + 1) // _BYTES_A_TOKEN + sizes.documents * _DOCUMENT
            if sizes.images:
                read += sizes.images * _most_per_image(self._model)
            read = min(read, self._context)
        return read + sizes.tools * _SERVER_TOOL


@lru_cache(maxsize=1024)
def _most_per_image(model: str) -> int:
    """Return the tokens of the largest image a model takes."""
    match family_of(model):
        case ClaudeFamily() as family:
            return family.image_tokens + _CLAUDE_FRAME
        case OpenAIFamily(images=Images.PATCHES) as family:
            return _MOST_PATCHES * family.step // 100
        case OpenAIFamily() as family if family.scale == 100:  # noqa: PLR2004 - its own tokenizer
            return family.base + family.step * _MOST_TILES
        case OpenAIFamily():
            return _ANY_IMAGE
