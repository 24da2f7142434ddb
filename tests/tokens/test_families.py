"""From the name of a model to what counting needs to know."""

import pytest

from meterway.tokens.families import ClaudeFamily, Images, OpenAIFamily, ToolCost, family_of
from meterway.tokens.types import Tokenizer

OPUS_3 = ToolCost(530, 281)
SONNET_4 = ToolCost(313, 315)
FOUR_FIVE = ToolCost(496, 588)


@pytest.mark.parametrize(
    ("model", "tokenizer", "tools"),
    [
        ("claude-3-opus", Tokenizer.CLAUDE_3, OPUS_3),
        ("claude-3-opus-20240229", Tokenizer.CLAUDE_3, OPUS_3),
        ("anthropic/claude-3-opus:beta", Tokenizer.CLAUDE_3, OPUS_3),
        ("claude-3-opus@20240229", Tokenizer.CLAUDE_3, OPUS_3),
        ("anthropic.claude-3-opus-20240229-v1:0", Tokenizer.CLAUDE_3, OPUS_3),
        ("anthropic/claude-3.5-haiku", Tokenizer.CLAUDE_3, ToolCost(264, 355)),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Tokenizer.CLAUDE_3, ToolCost(346, 313)),
        ("claude-sonnet-4-20250514", Tokenizer.CLAUDE_3, SONNET_4),
        ("claude-sonnet-4-0", Tokenizer.CLAUDE_3, SONNET_4),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", Tokenizer.CLAUDE_3, SONNET_4),
        ("claude-opus-4-1@20250805", Tokenizer.CLAUDE_3, SONNET_4),
        ("anthropic/claude-opus-4.1", Tokenizer.CLAUDE_3, SONNET_4),
        ("claude-4-sonnet", Tokenizer.CLAUDE_3, SONNET_4),
        ("claude-haiku-4-5-20251001", Tokenizer.CLAUDE_3, FOUR_FIVE),
        ("Claude-Sonnet-4-5", Tokenizer.CLAUDE_3, FOUR_FIVE),
        ("claude-opus-4-6", Tokenizer.CLAUDE_3, ToolCost(497, 589)),
        ("claude-opus-4-7", Tokenizer.CLAUDE_4_7, ToolCost(675, 804)),
        ("claude-opus-4-8", Tokenizer.CLAUDE_4_8, ToolCost(290, 410)),
        ("claude-opus-5", Tokenizer.CLAUDE_4_8, ToolCost(286, 406)),
        ("claude-sonnet-5-20260901", Tokenizer.CLAUDE_4_8, ToolCost(354, 474)),
        ("TA/claude-fable-5", Tokenizer.CLAUDE_4_8, ToolCost(286, 406)),
    ],
)
def test_claude_models_are_known_in_every_spelling(model, tokenizer, tools):
    family = family_of(model)

    assert isinstance(family, ClaudeFamily)
    assert (family.tokenizer, family.tools, family.known) == (tokenizer, tools, True)


@pytest.mark.parametrize("model", ["claude-2.1", "claude-instant-1.2", "claude-next"])
def test_a_claude_model_of_unknown_tokenizer_is_a_guess(model):
    family = family_of(model)

    assert isinstance(family, ClaudeFamily)
    assert not family.known


@pytest.mark.parametrize(
    ("model", "tokenizer", "scale"),
    [
        ("gpt-4", Tokenizer.CL100K, 100),
        ("gpt-4-turbo-2024-04-09", Tokenizer.CL100K, 100),
        ("gpt-3.5-turbo", Tokenizer.CL100K, 100),
        ("text-embedding-3-small", Tokenizer.CL100K, 100),
        ("gpt-4o", Tokenizer.O200K, 100),
        ("openai/gpt-4.1", Tokenizer.O200K, 100),
        ("gpt-4.5-preview", Tokenizer.O200K, 100),
        ("ft:gpt-4o-mini:acemeco:suffix:abc123", Tokenizer.O200K, 100),
        ("o3-mini", Tokenizer.O200K, 100),
        ("gpt-5.1-codex", Tokenizer.O200K, 100),
        ("gpt-17", Tokenizer.O200K, 100),
        ("deepseek-chat", Tokenizer.O200K, 108),
        ("meta-llama/llama-3.3-70b", Tokenizer.O200K, 108),
    ],
)
def test_other_models_find_their_encoding(model, tokenizer, scale):
    family = family_of(model)

    assert isinstance(family, OpenAIFamily)
    assert (family.tokenizer, family.scale) == (tokenizer, scale)


def test_the_mini_models_count_images_in_patches():
    patched = [family_of(m) for m in ("gpt-4.1-mini", "gpt-5-nano", "o4-mini")]

    assert [f.images for f in patched if isinstance(f, OpenAIFamily)] == [Images.PATCHES] * 3
