"""The most a call can cost: never less than what it does cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.catalog.tariffs import FREE, PPM, Rates, Tariff, Tier, resolve
from meterway.catalog.types import Model
from meterway.metering.bounds import Ceiling
from meterway.metering.errors import UnpricedServiceError
from meterway.metering.pricing import price
from meterway.protocols.chat.sizes import Sizes
from meterway.protocols.usage import Usage

MTOK = 10**6
PLAIN = resolve(Tariff(rates=Rates(input=2 * MTOK, output=8 * MTOK), services={"flex": PPM // 2}))


def worst_case(sizes, rates, multipliers=(), *, max_tokens=None, choices=1, **facts):
    return Ceiling(rates, multipliers, **facts).of(sizes, max_tokens, choices)


def _model(id_: str = "claude-3-opus", **facts) -> Model:
    return Model(id=id_, family="f", vendor="v", title="t", **facts)


def test_text_is_at_most_half_its_bytes_in_tokens():
    assert worst_case(Sizes(1001), PLAIN, max_tokens=0) == 501 * 2


def test_input_is_at_most_the_context_window():
    model = _model(context=200)

    assert worst_case(Sizes(10**7), PLAIN, model=model, max_tokens=0) == 200 * 2


def test_messages_that_cannot_be_read_are_held_as_a_full_window():
    assert worst_case(Sizes(None), PLAIN, model=_model(context=200), max_tokens=0) == 200 * 2


@pytest.mark.parametrize(
    ("asked", "most", "choices", "tokens"),
    [
        (100, None, 1, 100),
        (100, 50, 1, 50),
        (None, None, 1, 8192),
        (None, 4096, 1, 4096),
        (None, 64_000, 1, 8192),
        (100, None, 4, 400),
        (100, None, -3, 100),
        (-5, None, 1, 0),
        (0, None, 1, 0),
    ],
)
def test_output_is_what_is_allowed_times_the_choices(asked, most, choices, tokens):
    model = _model(max_output=most)

    held = worst_case(Sizes(0), PLAIN, model=model, max_tokens=asked, choices=choices)

    assert held == tokens * 8


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-3-opus", 1571),
        ("claude-opus-4-7", 4787),
        ("gpt-4o", 85 + 8 * 170),
        ("gpt-4o-mini", 2833 + 8 * 5667),
        ("gpt-4.1-mini", 2488),
        ("gemini-2.5-pro", 16_384),
        ("", 16_384),
    ],
)
def test_an_image_is_held_at_the_largest_its_family_takes(model, tokens):
    held = worst_case(Sizes(0, images=2), PLAIN, model=_model(model), max_tokens=0)

    assert held == 2 * tokens * 2


def test_a_document_is_held_at_a_hundred_pages_within_the_window():
    document = Sizes(0, documents=1)

    assert worst_case(document, PLAIN, max_tokens=0) == 220_000 * 2
    assert worst_case(document, PLAIN, model=_model(context=9), max_tokens=0) == 9 * 2


def test_tools_the_vendor_runs_add_to_what_the_window_allows():
    model = _model(context=10)

    assert worst_case(Sizes(99, tools=2), PLAIN, model=model, max_tokens=0) == 100_010 * 2


def test_the_dearest_class_counts_and_that_of_media_only_where_there_is_any():
    rates = resolve(
        Tariff(
            rates=Rates(
                input=MTOK,
                cache_write_1h=2 * MTOK,
                input_audio=9 * MTOK,
                output=3 * MTOK,
                output_audio=7 * MTOK,
            )
        )
    )

    text = worst_case(Sizes(200), rates, max_tokens=1)
    sound = worst_case(Sizes(200, sounds=1), rates, max_tokens=1)

    assert (text, sound) == (100 * 2 + 7, 100 * 9 + 7)


def test_a_tier_counts_once_the_bound_reaches_it_and_a_cheaper_one_never_lowers_it():
    tiers = (Tier(100, Rates(input=5 * MTOK)), Tier(200, Rates(input=MTOK)))
    rates = resolve(Tariff(rates=Rates(input=2 * MTOK), tiers=tiers))

    held = [worst_case(Sizes(2 * read), rates, max_tokens=0) for read in (100, 101, 300)]

    assert held == [200, 505, 1500]


def test_service_and_multipliers_count():
    assert worst_case(Sizes(2000), PLAIN, (1_500_000,), max_tokens=0, service="flex") == 1500
    with pytest.raises(UnpricedServiceError):
        worst_case(Sizes(1), PLAIN, service="priority")


def test_a_price_for_each_call_is_held_too():
    rates = resolve(Tariff(rates=Rates(input=0), units={"request": 5_000_000}))

    assert worst_case(Sizes(10), rates) == 5_000_000


def test_what_is_free_holds_nothing():
    assert worst_case(Sizes(10**6, images=9), resolve(FREE)) == 0


_counts = st.integers(0, 10**6)
_rate = st.integers(0, 10**12)


@given(
    st.builds(Rates, **dict.fromkeys(Rates.__struct_fields__, _rate)),
    st.lists(_counts, min_size=9, max_size=9),
    st.integers(0, 10**7),
    st.booleans(),
)
def test_what_stays_within_the_bounds_never_costs_more_than_the_hold(rates, counts, above, tiered):
    dearer = Rates(input=2 * rates.input, output=2 * rates.output)
    tariff = Tariff(rates=rates, tiers=(Tier(above, dearer),) if tiered else ())
    usage = Usage(**dict(zip(Usage.__struct_fields__, counts, strict=True)))
    resolved = resolve(tariff)
    sizes = Sizes(2 * usage.total_input, sounds=1)
    limits = _model(context=10**8)

    held = worst_case(sizes, resolved, model=limits, max_tokens=usage.total_output)

    assert price(usage, resolved) <= held
