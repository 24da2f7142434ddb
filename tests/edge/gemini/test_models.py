"""Listing models in Google's shape."""

import pytest

from meterway.auth.types import Principal
from meterway.catalog.types import Model
from meterway.edge.gemini.models import LIST_PATH, ONE_PATH, ModelList, OneModel
from meterway.edge.server import Route, Server
from meterway.kit.ids import CallIds
from tests.fakes.http_server import Answer, serving

MODELS = [
    Model(
        id="gemini-2.5-pro",
        family="gemini-pro",
        vendor="google",
        title="Gemini 2.5 Pro",
        context=1_048_576,
        max_output=65_536,
        reasoning=True,
    ),
    Model(id="meta/llama-3", family="llama", vendor="meta", title="Llama 3"),
    Model(id="gpt-4o", family="gpt-4o", vendor="openai", title="GPT-4o"),
]


class OneKey:
    """An authenticator that knows one key."""

    def known(self, token):
        return Principal(key_id=1, user_id=1, key_name="sk-***") if token == "sk-one" else None

    async def principal(self, token):
        raise AssertionError("only known keys are sent here")


def find(caller, name):
    return next((model for model in MODELS if model.id == name), None)


async def ask(path: str) -> Answer:
    keys = OneKey()
    routes = [
        Route("GET", LIST_PATH, ModelList(keys, lambda _: MODELS)),  # type: ignore[arg-type]  # a fake of two methods
        Route("GET", ONE_PATH, OneModel(keys, find)),  # type: ignore[arg-type]  # same
    ]
    async with serving(Server(routes, CallIds(0))) as server:
        client = await server.connect()
        return await client.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())


async def test_a_model_has_googles_shape():
    answer = await ask("/v1beta/models/gemini-2.5-pro?key=sk-one")

    assert answer.json() == {
        "name": "models/gemini-2.5-pro",
        "version": "gemini-2.5-pro",
        "displayName": "Gemini 2.5 Pro",
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "thinking": True,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
    }


@pytest.mark.parametrize("name", ["meta/llama-3", "models/meta/llama-3"])
async def test_a_name_may_hold_slashes_and_googles_prefix(name: str):
    answer = await ask(f"/v1beta/models/{name}?key=sk-one")

    assert answer.json()["name"] == "models/meta/llama-3"


async def test_an_unknown_model_is_404():
    answer = await ask("/v1beta/models/nope?key=sk-one")

    assert (answer.status, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


async def test_pages_visit_each_model_once():
    names, token = [], ""
    for _ in range(5):
        more = f"&pageToken={token}" if token else ""
        page = (await ask(f"/v1beta/models?key=sk-one&pageSize=1{more}")).json()
        names += [model["name"] for model in page["models"]]
        token = page.get("nextPageToken", "").replace("/", "%2F")
        if not token:
            break

    assert names == [f"models/{model.id}" for model in MODELS]


@pytest.mark.parametrize(
    ("query", "status"), [("pageSize=x", 400), ("pageToken=nope", 400), ("pageSize=5000", 200)]
)
async def test_a_page_that_cannot_be_is_refused(query: str, status: int):
    assert (await ask(f"/v1beta/models?key=sk-one&{query}")).status == status
