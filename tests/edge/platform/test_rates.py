"""What models cost, as everybody with a key may read it."""

from typing import Any

from meterway.auth.types import Principal
from meterway.catalog.book import Book
from meterway.catalog.service import Catalog
from meterway.catalog.tariffs import PPM, Kind, Origin, Price, Rates, Tariff, Tier
from meterway.edge.http import InFlight
from meterway.edge.platform.envelope import Door
from meterway.edge.platform.rates import PATH, routes
from meterway.edge.server import Server
from meterway.kit.ids import CallIds
from meterway.metering.quotes import Pricing
from tests.factories.platform import FakePace
from tests.fakes.http_server import Answer, serving

USD = 10**9
TARIFF = Tariff(
    rates=Rates(input=2_500_000_000, output=10 * USD, cache_read=1),
    tiers=(Tier(200_000, Rates(input=5 * USD, output=20 * USD)),),
    services={"flex": PPM // 2},
    units={"web_search": 10_000_000},
)
ROW = Price(
    id=7,
    model="gpt-4o",
    effective_at=1_800_000_000.123,
    tariff=TARIFF,
    origin=Origin.SEED,
    source="https://example.com/prices",
)
MULTIPLIERS = {
    (Kind.MODEL, "gpt-4o"): 1_200_000,
    (Kind.TIER, "VIP"): 900_000,
    (Kind.BILLING, "cc-omg"): 500_000,
}
PRICING = Pricing(Catalog(), Book([ROW], MULTIPLIERS))


class OneKey:
    """An authenticator that knows one key."""

    def known(self, token):
        if token != "sk-one":
            return None
        return Principal(key_id=1, user_id=1, key_name="sk-***")

    async def principal(self, token):
        raise AssertionError("only known keys are sent here")


def _listed(caller):
    assert caller.key_id == 1
    at = ROW.effective_at
    found = [
        PRICING.listing("gpt-4o", at=at, shown_as="TA/gpt-4o"),
        PRICING.listing("llama3:8b", at=at, free=True),
    ]
    return [listing for listing in found if listing is not None]


async def ask(key: str | None = "sk-one") -> Answer:
    keys: Any = OneKey()
    door = Door(authenticator=keys, in_flight=InFlight(1), pace=FakePace())
    head = f"GET {PATH} HTTP/1.1\r\n" + (f"authorization: Bearer {key}\r\n" if key else "")
    async with serving(Server(routes(door, _listed), CallIds(0))) as server:
        client = await server.connect()
        return await client.ask(f"{head}\r\n".encode())


async def test_rates_are_decimals_in_dollars_with_all_that_multiplies_them():
    answer = await ask()

    body = answer.json()
    assert (answer.status, body["statusCode"], body["message"]) == (200, 200, "OK")
    assert body["data"][0] == {
        "model": "TA/gpt-4o",
        "priced_as": "gpt-4o",
        "rates": {"input": "2.50", "output": "10.00", "cache_read": "0.000000001"},
        "tiers": [{"above": 200_000, "rates": {"input": "5.00", "output": "20.00"}}],
        "services": {"flex": "0.5"},
        "units": {"web_search": "0.01"},
        "multiplier": "1.2",
        "tier_multipliers": {"vip": "0.9"},
        "billing_multipliers": {"cc-omg": "0.5"},
        "effective_at": "2027-01-15T08:00:00.123Z",
        "source": "https://example.com/prices",
    }


async def test_a_free_model_says_that_it_costs_nothing():
    [_, free] = (await ask()).json()["data"]

    assert (free["model"], free["rates"]) == ("llama3:8b", {"input": "0.00", "output": "0.00"})
    assert (free["multiplier"], free["effective_at"]) == ("1", None)


async def test_prices_need_a_key():
    assert (await ask(None)).status == 401
