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
from meterway.kit.money import Nanos
from meterway.metering.pricing import factor_of, rounded
from meterway.protocols.chat.sizes import Sizes
from meterway.tokens.families import ClaudeFamily, Images, OpenAIFamily, family_of

_BYTES_A_TOKEN: Final = 2
_USUAL_OUTPUT: Final = 8192
_LARGEST_CONTEXT: Final = 2_000_000
_MOST_TILES: Final = 8  # 768 by 2,048 pixels in squares of 512
_MOST_PATCHES: Final = 1536
_CLAUDE_FRAME: Final = 3  # around each image
_ANY_IMAGE: Final = 16_384  # Qwen's, the largest of the vendors whose arithmetic is not ours
_DOCUMENT: Final = 220_000  # a hundred pages of 2,200 tokens
_SERVER_TOOL: Final = 50_000  # what searches and fetches of one tool add to the input


def worst_case(  # noqa: PLR0913 - the facts of a request, each by its name
    sizes: Sizes,
    rates: Resolved,
    multipliers: Sequence[int] = (),
    *,
    model: Model | None = None,
    max_tokens: int | None = None,
    choices: int = 1,
    service: str | None = None,
) -> Nanos:
    """Return what a call costs at most, every token at the dearest rate that can apply.

    Input is bounded by half the bytes of text and the model's context window, plus the largest
    image its family takes for each image, a hundred pages for each document and a cap for each
    tool the vendor runs; output by `choices` times `max_tokens` (8,192 where None) and the model's
    own limit. `model` None is a model nobody knows. Raises `UnpricedServiceError`.
    """
    read = _input(sizes, model)
    written = _USUAL_OUTPUT if max_tokens is None else max(max_tokens, 0)
    if model is not None and model.max_output is not None:
        written = min(written, model.max_output)
    written *= max(choices, 1)
    step = rates.steps[0]
    for later in rates.steps:
        if read > later.above:
            step = later
    has_media = sizes.text is None or sizes.images or sizes.documents or sizes.sounds
    amount = read * (step.media if has_media else step.input) + written * step.output
    amount += rates.request * PPM
    return rounded(amount, factor_of(rates, service), multipliers)


def _input(sizes: Sizes, model: Model | None) -> int:
    context = _LARGEST_CONTEXT if model is None or model.context is None else model.context
    if sizes.text is None:
        return context + sizes.tools * _SERVER_TOOL
    read = (sizes.text + 1) // _BYTES_A_TOKEN
    if sizes.images:
        read += sizes.images * _most_per_image("" if model is None else model.id)
    if sizes.documents:
        read += sizes.documents * _DOCUMENT
    return min(read, context) + sizes.tools * _SERVER_TOOL


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
