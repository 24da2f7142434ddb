"""Stored receipts: nothing is lost but what lies below a microsecond."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit.ids import first_id
from meterway.ledger.charges.receipts import pack, unpack
from meterway.ledger.charges.types import AttemptCost
from meterway.protocols.usage import Usage, UsageSource
from tests.factories.charges import AT, new_receipt

CALL = first_id(AT) + 77

_name = st.text(min_size=1, max_size=20)
_amount = st.integers(0, 10**18)
_seconds = st.integers(0, 10**10).map(lambda micros: micros / 1_000_000)
_receipts = st.builds(
    new_receipt,
    dialect=_name,
    stream=st.booleans(),
    outcome=_name,
    usage=st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, st.integers(0, 10**9))),
    usage_source=st.sampled_from(UsageSource),
    price_id=st.integers(0, 10**9),
    hold=_amount,
    began=st.integers(-(10**6), 10**9).map(lambda micros: AT + micros / 1_000_000),
    seconds=_seconds,
    first_byte=st.none() | _seconds,
    multipliers=st.dictionaries(_name, st.integers(0, 10**9), max_size=3),
    service=st.none() | _name,
    policy=st.none() | _name,
    error=st.none() | _name,
    attempts=st.lists(
        st.builds(
            AttemptCost,
            channel=_name,
            status=st.none() | st.integers(100, 599),
            error=st.none() | _name,
            cost=_amount,
        ),
        max_size=4,
    ).map(tuple),
)


class _Numbers(dict[str, int]):
    """Numbers texts as they come, from 1."""

    def __missing__(self, text):
        self[text] = len(self) + 1
        return self[text]


@given(_receipts, st.just("") | _name)
def test_receipt_comes_back_as_it_was(receipt, billing):
    numbers = _Numbers()

    packed = unpack(pack(CALL, receipt, billing, numbers.__getitem__))
    names = {number: text for text, number in numbers.items()}
    found = packed.receipt(CALL, names)

    assert set(packed.names()) == names.keys()
    assert packed.billing(names) == billing
    assert found.began == pytest.approx(receipt.began, abs=1e-6)
    assert msgspec.structs.replace(found, began=receipt.began) == receipt


def test_usual_receipt_is_small():
    receipt = new_receipt()

    assert len(pack(CALL, receipt, "", _Numbers().__getitem__)) < 60


def _stored(usage=(), multipliers=(), attempts=()):
    """The bytes of a receipt with these parts."""
    return msgspec.msgpack.encode([1, *[1] * 7, usage, 0, 0, multipliers, 0, 0, 0, attempts])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x90",
        b"\x91\x02",
        b"\xa1x",
        b"\xdc\x00\x11" + b"\x01" * 17,
        _stored(usage=[1] * 10),
        _stored(multipliers=[1]),
        _stored(attempts=[[]]),
        _stored(attempts=[[1] * 5]),
    ],
)
def test_what_is_no_receipt_is_refused(data):
    with pytest.raises(msgspec.MsgspecError):
        unpack(data)


def test_receipts_are_of_a_kind_where_only_figures_differ():
    def kind(**facts):
        return unpack(pack(CALL, new_receipt(**facts), "", numbers.__getitem__)).kind()

    numbers = _Numbers()
    main, other = AttemptCost("main", 200, None, 5), AttemptCost("other", 200, None, 5)

    assert kind() == kind(usage=Usage(input=1), hold=1, seconds=1.0, stream=False)
    assert kind(attempts=(main,)) == kind(attempts=(AttemptCost("main", 529, None, 7),))
    different: list[dict[str, Any]] = [
        {},
        {"price_id": 89},
        {"dialect": "openai_chat"},
        {"outcome": "gone"},
        {"multipliers": {"model": 1_100_001}},
        {"multipliers": {"tier": 1_100_000}},
        {"service": "flex"},
        {"policy": "flex"},
        {"error": "flex"},
        {"attempts": (other,)},
        {"attempts": (main, other)},
        {"attempts": (AttemptCost("main", 200, "flex", 5),)},
    ]
    assert len({kind(**facts) for facts in different}) == len(different)
