"""OpenAI's token figures and the classes they mean."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.protocols.chat.openai_chat import wire
from meterway.protocols.chat.openai_chat.usage import decode_usage
from meterway.protocols.chat.openai_family import encode_usage
from meterway.protocols.usage import Usage


def read(report):
    return decode_usage(msgspec.convert(report, wire.Usage))


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {
                    "cached_tokens": 60,
                    "cache_write_tokens": 10,
                    "audio_tokens": 5,
                    "image_tokens": 5,
                },
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 10},
            },
            Usage(
                input=20,
                cache_read=60,
                cache_write_5m=10,
                input_audio=5,
                input_image=5,
                output=20,
                reasoning=20,
                output_audio=10,
            ),
        ),
        (
            {"prompt_tokens": 16, "completion_tokens": 9, "prompt_cache_hit_tokens": 6},
            Usage(input=10, cache_read=6, output=9),
        ),
        (
            {"prompt_tokens": 16, "completion_tokens": 9, "cached_tokens": 6},
            Usage(input=10, cache_read=6, output=9),
        ),
        (  # xAI: reasoning stands beside the completion
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(input=10, output=5, reasoning=100),
        ),
        (  # Gemini: thoughts only in the total
            {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 75},
            Usage(input=10, output=20, reasoning=45),
        ),
        (  # a proxy whose prompt excludes the cache
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "total_tokens": 130,
                "prompt_tokens_details": {"cached_tokens": 100},
            },
            Usage(input=10, cache_read=100, output=20),
        ),
        (  # more cached than prompt: the total stays, nothing is negative
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 50},
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(cache_read=10, reasoning=5),
        ),
        ({"prompt_tokens": -5, "completion_tokens": -1}, Usage()),
        ({"prompt_tokens": 3}, Usage(input=3)),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None},
            Usage(input=3, output=1),
        ),
    ],
)
def test_classes_are_disjoint(report, usage):
    assert read(report) == usage


def test_a_report_without_figures_is_none():
    assert decode_usage(None) is None
    assert read({}) is None


counts = st.integers(-5, 10**9) | st.none()


@given(
    st.fixed_dictionaries(
        {
            "prompt_tokens": counts,
            "completion_tokens": counts,
            "prompt_tokens_details": st.fixed_dictionaries(
                {"cached_tokens": counts, "audio_tokens": counts, "cache_write_tokens": counts}
            ),
            "completion_tokens_details": st.fixed_dictionaries(
                {"reasoning_tokens": counts, "audio_tokens": counts}
            ),
        }
    )
)
def test_nothing_is_negative_and_the_totals_stay(report):
    usage = read(report)

    if usage is not None:
        assert min(msgspec.structs.astuple(usage)) >= 0
        assert usage.total_input == max(report["prompt_tokens"] or 0, 0)
        assert usage.total_output == max(report["completion_tokens"] or 0, 0)


tokens = st.integers(0, 10**6)


@given(
    st.builds(
        Usage,
        input=tokens,
        cache_read=tokens,
        cache_write_5m=tokens,
        input_audio=tokens,
        input_image=tokens,
        output=tokens,
        reasoning=tokens,
        output_audio=tokens,
    )
)
def test_what_is_written_reads_back_the_same(usage):
    assert read(encode_usage(usage)) == usage


def test_cache_writes_of_both_lifetimes_are_told_as_one():
    report = encode_usage(Usage(input=1, cache_write_5m=2, cache_write_1h=3))

    assert report["prompt_tokens_details"]["cache_write_tokens"] == 5
    assert report["prompt_tokens"] == 6
