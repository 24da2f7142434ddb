"""The process that makes a background response is killed, and the response is made all the same."""

import asyncio
import json

import pytest

from tests.factories.gateways import wait_for
from tests.faults.shop import SLOW

PATH = "/v1/responses"
TEXT = "one two three"


def _ask(shop, method, path, body=None):
    headers = {"authorization": f"Bearer {shop.key}"}
    answer = shop.gateway.send(method, path, headers, None if body is None else json.dumps(body))
    assert answer.status == 200, answer
    return answer


def _told(shop, id_):
    """Return the number of the last event that was appended."""
    ((last,),) = shop.ask(f"SELECT max(seq) FROM response_events WHERE response_id = '{id_}'")
    return int(last)


@pytest.mark.parametrize("killed", ["backstage", "everything"])
async def test_a_background_response_survives_its_process_and_is_charged_once(
    open_shop, chance, url, killed
):
    shop = open_shop("100", url)
    await asyncio.to_thread(shop.gateway.start)
    body = {"model": SLOW, "input": TEXT, "background": True}
    accepted = await asyncio.to_thread(_ask, shop, "POST", PATH, body)
    id_ = accepted.body["id"]
    await asyncio.to_thread(wait_for, lambda: _told(shop, id_) > 4, "some events")

    if killed == "backstage":
        shop.kill("backstage", chance)
    else:
        shop.crash()
        await asyncio.to_thread(shop.gateway.start)

    def ended():
        response = _ask(shop, "GET", f"{PATH}/{id_}").body
        return response if response["status"] == "completed" else None

    response = await asyncio.to_thread(wait_for, ended, "the response", 60)
    await asyncio.to_thread(wait_for, shop.charged, "its charge", 60)
    charged = shop.charged()
    jobs = shop.ask("SELECT state, attempts FROM jobs")
    await asyncio.to_thread(shop.gateway.stop)

    assert TEXT in response["output"][0]["content"][0]["text"]
    assert [tuple(job) for job in jobs] == [("done", 2)]
    assert list(charged) == [int(accepted.headers["x-request-id"].removeprefix("req_"), 16)]
    assert shop.balance() == 100 * 10**9 - sum(charged.values())
    shop.verify()
