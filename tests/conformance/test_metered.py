"""The judge of the ledger: it sees every kind of wrong."""

import pytest

from meterway.protocols.usage import Usage
from tests.conformance.metered import same
from tests.fakes.scripted_vendor import ScriptedVendor, Told

pytestmark = pytest.mark.conformance
FIRST, SECOND = Usage(input=1001, output=51), Usage(input=1002, output=52)


@pytest.fixture
def vendor():
    with ScriptedVendor() as made:
        made.told += [Told("", {}, FIRST), Told("", {}, SECOND)]
        yield made


def posted(usage: Usage, **facts):
    used = {name: getattr(usage, name) for name in usage.__struct_fields__}
    usual = {"outcome": "completed", "usage_source": "reported", "attempts": [{}]}
    return {"usage": used, "fee_usd": "0.001", **usual, **facts}


def test_the_same_calls_in_any_order_are_the_same(vendor):
    same([posted(SECOND), posted(FIRST)], vendor)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [posted(FIRST), posted(FIRST), posted(SECOND)],
        [posted(Usage(input=2003, output=103))],
        [posted(FIRST), posted(Usage(input=1002, cache_read=1, output=52))],
        [posted(FIRST, usage_source="estimated"), posted(SECOND)],
        [posted(FIRST, attempts=[{}, {}]), posted(SECOND)],
        [posted(FIRST, outcome="client_gone"), posted(SECOND)],
        [posted(FIRST, fee_usd="0"), posted(SECOND)],
    ],
    ids=["none", "twice", "summed", "classes", "estimated", "attempts", "outcome", "free"],
)
def test_anything_else_is_not(vendor, wrong):
    with pytest.raises(AssertionError):
        same(wrong, vendor)
