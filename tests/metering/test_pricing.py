"""What usage costs, from vendors' own reports to nano-dollars."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.catalog.tariffs import FREE, PPM, Rates, Tariff, Tier, resolve
from meterway.kit.money import MOST
from meterway.metering.errors import UnpricedServiceError
from meterway.metering.pricing import price, service_of
from meterway.protocols.chat.anthropic_messages import usage as anthropic
from meterway.protocols.chat.anthropic_messages import wire as anthropic_wire
from meterway.protocols.chat.openai_chat import usage as openai
from meterway.protocols.chat.openai_chat import wire as openai_wire
from meterway.protocols.usage import Usage

USD = 10**9
SONNET = Tariff(
    rates=Rates(
        input=3 * USD,
        output=15 * USD,
        cache_read=300_000_000,
        cache_write_5m=3_750_000_000,
        cache_write_1h=6 * USD,
    ),
    services={"batch": PPM // 2},
)
GPT = Tariff(rates=Rates(input=2 * USD, output=8 * USD, cache_read=500_000_000))
GEMINI = Tariff(
    rates=Rates(input=1_250_000_000, output=10 * USD, cache_read=310_000_000),
    tiers=(
        Tier(200_000, Rates(input=2_500_000_000, output=15 * USD, cache_read=625_000_000)),
        Tier(500_000, Rates(input=5 * USD, output=30 * USD)),
    ),
)
CLASSES = Usage.__struct_fields__


def _anthropic(body: str) -> Usage:
    found = anthropic.decode_usage(msgspec.json.decode(body, type=anthropic_wire.Usage))
    assert found is not None
    return found


def _openai(body: str) -> Usage:
    found = openai.decode_usage(msgspec.json.decode(body, type=openai_wire.Usage))
    assert found is not None
    return found


# -- cache arithmetic that others got wrong ------------------------------------------------------


def test_cache_creation_is_charged_once():
    """Counted twice in https://github.com/BerriAI/litellm/issues/9812."""
    usage = _anthropic(
        '{"input_tokens":4,"cache_creation_input_tokens":12304,"cache_read_input_tokens":0,'
        '"cache_creation":{"ephemeral_5m_input_tokens":12304,"ephemeral_1h_input_tokens":0},'
        '"output_tokens":550}'
    )

    amount = price(usage, resolve(SONNET))

    assert amount == 4 * 3_000 + 12_304 * 3_750 + 550 * 15_000 == 54_402_000


def test_cached_input_of_anthropic_is_not_charged_as_input():
    usage = _anthropic(
        '{"input_tokens":21,"cache_creation_input_tokens":0,"cache_read_input_tokens":188086,'
        '"output_tokens":393}'
    )

    amount = price(usage, resolve(SONNET))

    assert amount == 21 * 3_000 + 188_086 * 300 + 393 * 15_000


def test_cached_input_of_openai_is_charged_once_and_cheaply():
    """Charged as input in https://github.com/maximhq/bifrost/issues/904."""
    usage = _openai(
        '{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,'
        '"prompt_tokens_details":{"cached_tokens":1920},'
        '"completion_tokens_details":{"reasoning_tokens":0}}'
    )

    amount = price(usage, resolve(GPT))

    assert amount == 86 * 2_000 + 1_920 * 500 + 300 * 8_000


def test_more_cached_than_read_makes_no_negative_price():
    """Negative input, negative price: https://github.com/QuantumNous/new-api/issues/5003."""
    usage = _openai(
        '{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101,'
        '"prompt_tokens_details":{"cached_tokens":4096}}'
    )

    amount = price(usage, resolve(GPT))

    assert amount == 100 * 500 + 8_000


def test_writes_are_charged_where_their_split_is_absent():
    """Unbilled in https://github.com/QuantumNous/new-api/issues/6353."""
    usage = _anthropic(
        '{"input_tokens":10,"cache_creation_input_tokens":1000,"cache_read_input_tokens":0,'
        '"output_tokens":1}'
    )

    amount = price(usage, resolve(SONNET))

    assert amount == 10 * 3_000 + 1_000 * 3_750 + 15_000


def test_writes_of_an_hour_cost_their_own_rate():
    usage = _anthropic(
        '{"input_tokens":0,"cache_creation_input_tokens":1500,"cache_read_input_tokens":0,'
        '"cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":500},'
        '"output_tokens":0}'
    )

    amount = price(usage, resolve(SONNET))

    assert amount == 1_000 * 3_750 + 500 * 6_000


def test_hidden_reasoning_is_charged_once_as_output():
    usage = _openai(
        '{"prompt_tokens":10,"completion_tokens":500,"total_tokens":510,'
        '"completion_tokens_details":{"reasoning_tokens":400}}'
    )

    amount = price(usage, resolve(GPT))

    assert amount == 10 * 2_000 + 500 * 8_000


def test_reasoning_left_out_of_the_completion_is_charged_too():
    usage = _openai('{"prompt_tokens":10,"completion_tokens":5,"total_tokens":215}')

    amount = price(usage, resolve(GPT))

    assert amount == 10 * 2_000 + 205 * 8_000


def test_a_stream_that_reports_twice_is_charged_once():
    tally = anthropic.Tally()
    tally.add(anthropic_wire.Usage(input_tokens=100, output_tokens=1))
    tally.add(anthropic_wire.Usage(input_tokens=0, output_tokens=50))
    usage = tally.usage()
    assert usage is not None

    amount = price(usage, resolve(SONNET))

    assert amount == 100 * 3_000 + 50 * 15_000


# -- classes, tiers, services, multipliers -------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "rate"),
    [
        ("cache_read", 2),
        ("cache_write_5m", 2),
        ("cache_write_1h", 2),
        ("input_audio", 2),
        ("input_image", 2),
        ("reasoning", 8),
        ("output_audio", 8),
    ],
)
def test_a_class_without_a_rate_costs_what_stands_for_it(part, rate):
    plain = resolve(Tariff(rates=Rates(input=2 * USD, output=8 * USD)))

    assert price(Usage(**{part: 1_000_000}), plain) == rate * USD


def test_writes_of_an_hour_without_a_rate_cost_those_of_five_minutes():
    rates = resolve(Tariff(rates=Rates(input=USD, cache_write_5m=3 * USD)))

    assert price(Usage(cache_write_1h=1_000_000), rates) == 3 * USD


@pytest.mark.parametrize(
    ("usage", "amount"),
    [
        (Usage(input=200_000), 250_000_000),
        (Usage(input=200_001), 500_002_500),
        (Usage(input=1, cache_read=200_000), 2_500 + 125_000_000),
        (Usage(input=500_000), 1_250_000_000),
        (Usage(input=500_001, output=1), 2_500_005_000 + 30_000),
        (Usage(input=1, output=600_000), 1_250 + 6_000_000_000),
    ],
)
def test_the_tier_is_that_of_everything_read_and_of_the_whole_call(usage, amount):
    assert price(usage, resolve(GEMINI)) == amount


def test_a_service_tier_changes_every_class():
    usage = Usage(input=1_000, output=100)

    amounts = [price(usage, resolve(SONNET), service=s) for s in (None, "default", "batch")]

    assert amounts == [4_500_000, 4_500_000, 2_250_000]


def test_a_service_tier_without_a_price_is_refused_with_what_has_one():
    with pytest.raises(UnpricedServiceError, match="default, batch") as refused:
        price(Usage(input=1), resolve(SONNET), service="priority")

    assert (refused.value.status, refused.value.param) == (400, "service_tier")


@pytest.mark.parametrize(
    ("asked", "told", "charged"),
    [
        (None, None, None),
        (None, "default", None),
        ("auto", "priority", None),
        (None, "scale", None),
        ("priority", "priority", "priority"),
        ("priority", "default", None),
        ("priority", None, "priority"),
        ("flex", "flex", "flex"),
        ("flex", "default", None),
        ("flex", "priority", "flex"),
        (None, "flex", "flex"),
    ],
)
def test_nobody_pays_for_more_than_was_asked_and_served(asked, told, charged):
    tariff = Tariff(rates=Rates(input=1), services={"priority": 2 * PPM, "flex": PPM // 2})

    assert service_of(resolve(tariff), asked, told) == charged


def test_a_price_for_each_call_adds_to_that_of_its_tokens():
    tariff = Tariff(rates=Rates(input=USD), units={"request": 5_000_000, "web_search": 7})

    assert price(Usage(input=10), resolve(tariff), (2 * PPM,)) == 2 * (5_000_000 + 10_000)


def test_multipliers_apply_to_the_sum_and_round_once():
    """A third, three times: rounding at each step would lose or win a nano-dollar."""
    usage, rates = Usage(input=10), resolve(Tariff(rates=Rates(input=150_000)))

    assert price(usage, rates) == 2  # 1.5
    assert price(usage, rates, (1_333_333,)) == 2  # 1.9999995
    assert price(usage, rates, (500_000, 500_000)) == 0  # 0.375


def test_what_is_free_costs_nothing_whatever_multiplies_it():
    usage = Usage(**dict.fromkeys(CLASSES, 10**6))

    assert price(usage, resolve(FREE), (5 * PPM,)) == 0


def test_an_absurd_amount_stays_one_that_fits_the_books():
    assert price(Usage(input=10**12), resolve(Tariff(rates=Rates(input=10**14)))) == MOST


# -- laws ----------------------------------------------------------------------------------------

_counts = st.integers(0, 10**8)
_usages = st.builds(Usage, **dict.fromkeys(CLASSES, _counts))
_rates = st.builds(
    Rates,
    **{
        name: st.integers(0, 10**12) if name in {"input", "output"} else st.none() | _counts
        for name in Rates.__struct_fields__
    },
)
_multipliers = st.lists(st.integers(0, 3 * PPM), max_size=3)


def _sum(left: Usage, right: Usage) -> Usage:
    return Usage(**{name: getattr(left, name) + getattr(right, name) for name in CLASSES})


@given(_usages, _rates, _multipliers)
def test_a_price_is_the_exact_one_rounded_half_up(usage, rates, multipliers):
    resolved = resolve(Tariff(rates=rates))
    flat = resolved.steps[0].flat
    exact = Fraction(sum(getattr(usage, n) * r for n, r in zip(CLASSES, flat, strict=True)), PPM)
    for multiplier in multipliers:
        exact *= Fraction(multiplier, PPM)

    amount = price(usage, resolved, multipliers)

    assert amount == min((exact + Fraction(1, 2)).__floor__(), MOST)


@given(_usages, _usages, _rates)
def test_two_calls_cost_what_one_of_both_does_but_for_rounding(one, other, rates):
    resolved = resolve(Tariff(rates=rates))

    together = price(_sum(one, other), resolved)

    assert abs(price(one, resolved) + price(other, resolved) - together) <= 1


@given(_usages, st.sampled_from(CLASSES), _counts, _rates, _multipliers)
def test_more_usage_never_costs_less(usage, part, more, rates, multipliers):
    resolved = resolve(Tariff(rates=rates))
    larger = msgspec.structs.replace(usage, **{part: getattr(usage, part) + more})

    assert price(larger, resolved, multipliers) >= price(usage, resolved, multipliers) >= 0


@given(st.sampled_from(CLASSES), _counts, _rates)
def test_each_class_is_charged_by_its_own_rate_alone(part, count, rates):
    resolved = resolve(Tariff(rates=rates))
    own = resolved.steps[0].flat[CLASSES.index(part)]

    assert price(Usage(**{part: count}), resolved) == (2 * count * own + PPM) // (2 * PPM)


@given(_usages, st.sampled_from(CLASSES), st.integers(-(10**9), -1), _rates)
def test_a_count_below_zero_takes_nothing_off_the_others(usage, part, below, rates):
    broken = msgspec.structs.replace(usage, **{part: below})
    without = msgspec.structs.replace(usage, **{part: 0})

    assert price(broken, resolve(Tariff(rates=rates))) == price(
        without, resolve(Tariff(rates=rates))
    )
