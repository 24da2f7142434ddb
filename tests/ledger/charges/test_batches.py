"""Batches of calls: what alike ones add up to says the same as they do one by one."""

from hypothesis import given
from hypothesis import strategies as st

from meterway.kit.ids import day
from meterway.ledger.books.types import Pots
from meterway.ledger.charges import batches, legs
from meterway.ledger.charges.legs import Borne
from meterway.ledger.charges.types import Funding, KeyUse
from meterway.protocols.usage import Usage
from tests.factories.charges import AT, new_receipt, new_record

DAY = 86_400
TODAY = int(AT // DAY)

_usages = st.builds(Usage, input=st.integers(0, 9), cache_read=st.integers(0, 9))
_records = st.lists(
    st.builds(
        lambda at, price, part, usage, **facts: new_record(
            at=at,
            price=price,
            overrun=price * part // 4,
            receipt=new_receipt(usage=usage),
            **facts,
        ),
        at=st.sampled_from([AT, AT + DAY]),
        price=st.integers(0, 1000),
        part=st.integers(0, 4),
        usage=_usages,
        user_id=st.integers(1, 2),
        key_id=st.integers(1, 2),
        channel_id=st.integers(1, 2),
        model=st.sampled_from(["a", "b"]),
        billing=st.sampled_from(["", "codex"]),
        funding=st.sampled_from(Funding),
        cost=st.integers(0, 9),
    ),
    max_size=20,
)
_NUMBERS = {"a": 1, "b": 2}


def _rows(records, split):
    return batches.rows(records, split, 1, lambda text: _NUMBERS.get(text, 3))


def _added_up(*records):
    return batches.added_up(records, _rows(records, legs.split(records, {})))


@given(_records)
def test_alike_calls_move_what_each_of_them_would(records):
    split = legs.split(records, {1: Pots(free=900)})
    each = [
        Borne(one.user_id, one.channel_id, one.billing, one.price, one.cost, some)
        for one, some in zip(records, split, strict=True)
    ]

    sums = batches.added_up(records, _rows(records, split))

    assert legs.deltas(one.borne() for one in sums) == legs.deltas(each)
    assert sum(one.calls for one in sums) == len(records)


@given(_records)
def test_days_have_the_tokens_and_prices_of_their_calls(records):
    expected: dict[tuple[int, ...], list[int]] = {}
    for one in records:
        of = (one.user_id, day(one.call_id), one.key_id, _NUMBERS[one.model])
        sums = expected.setdefault(of, [0, 0, 0, 0])
        usage = one.receipt.usage
        for place, amount in enumerate((1, usage.total_input, usage.total_output, one.price)):
            sums[place] += amount

    found: dict[tuple[int, ...], list[int]] = {}
    for sums_of in _added_up(*records):
        row = sums_of.usage_day()
        sums = found.setdefault(row[:4], [0, 0, 0, 0])
        found[row[:4]] = [a + b for a, b in zip(sums, row[4:], strict=True)]

    assert found == expected


def test_keys_count_calls_fees_and_the_last_moment():
    sums = _added_up(
        new_record(at=AT + 5, price=3),
        new_record(price=4, model="a"),
        new_record(price=1, key_id=71),
    )

    assert batches.key_use(sums) == {70: KeyUse(2, 7, AT + 5), 71: KeyUse(1, 1, AT)}


def test_calls_are_added_up_by_the_day_they_began():
    sums = _added_up(new_record(), new_record(at=AT + DAY), new_record())

    assert [(one.day, one.calls) for one in sums] == [(TODAY, 2), (TODAY + 1, 1)]
