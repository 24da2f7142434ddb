"""Listing models in both vendors' shapes."""

import pytest

from meterway.auth.types import Principal
from meterway.catalog.types import Model
from meterway.edge.openai.models import LIST_PATH, ONE_PATH, ModelList, OneModel
from meterway.edge.server import Route, Server
from meterway.kit.ids import CallIds
from tests.fakes.http_server import Answer, serving

MODELS = [
    Model(id="gpt-4o", family="gpt-4o", vendor="openai", title="GPT-4o", created=1_715_367_049),
    Model(
        id="claude-3-opus",
        family="claude-opus",
        vendor="anthropic",
        title="Claude 3 Opus",
        context=200_000,
        max_output=4096,
        deprecated=True,
    ),
    Model(id="meta/llama-3", family="llama", vendor="meta", title="Llama 3"),
]


class OneKey:
    """An authenticator that knows one key, which may use all but llama."""

    def known(self, token):
        if token != "sk-one":
            return None
        return Principal(key_id=1, user_id=1, key_name="sk-***", permissions=frozenset({"gpt-4o"}))

    async def principal(self, token):
        raise AssertionError("only known keys are sent here")


def offered(caller):
    assert caller.key_id == 1
    return MODELS


def find(caller, name):
    return next((model for model in offered(caller) if model.id == name), None)


async def ask(path: str, key: str | None = "sk-one", *, version: bool = False) -> Answer:
    keys = OneKey()
    routes = [
        Route("GET", LIST_PATH, ModelList(keys, offered)),  # type: ignore[arg-type]  # a fake of two methods
        Route("GET", ONE_PATH, OneModel(keys, find)),  # type: ignore[arg-type]  # same
    ]
    head = f"GET {path} HTTP/1.1\r\n"
    head += f"x-api-key: {key}\r\n" if key else ""
    head += "anthropic-version: 2023-06-01\r\n" if version else ""
    async with serving(Server(routes, CallIds(0))) as server:
        client = await server.connect()
        return await client.ask(f"{head}\r\n".encode())


async def anthropic_page(query: str):
    answer = await ask(f"/v1/models?{query}", version=True)
    page = answer.json()
    return [model["id"] for model in page["data"]], page["has_more"]


async def test_openai_clients_get_openais_list():
    answer = await ask("/v1/models")

    assert answer.status == 200
    assert answer.json()["object"] == "list"
    assert answer.json()["data"][0] == {
        "id": "gpt-4o",
        "object": "model",
        "created": 1_715_367_049,
        "owned_by": "openai",
    }


async def test_anthropic_clients_get_anthropics_page():
    answer = await ask("/v1/models", version=True)

    page = answer.json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == (
        "gpt-4o",
        "meta/llama-3",
        False,
    )
    assert page["data"][1] == {
        "type": "model",
        "id": "claude-3-opus",
        "display_name": "Claude 3 Opus",
        "created_at": "1970-01-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 4096,
        "lifecycle": "deprecated",
    }


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("limit=1000", ["gpt-4o", "claude-3-opus", "meta/llama-3"], False),
        ("limit=2", ["gpt-4o", "claude-3-opus"], True),
        ("limit=2&after_id=claude-3-opus", ["meta/llama-3"], False),
        ("limit=1&after_id=gpt-4o", ["claude-3-opus"], True),
        ("after_id=meta%2Fllama-3", [], False),
        ("limit=1&before_id=meta/llama-3", ["claude-3-opus"], True),
        ("limit=5&before_id=meta/llama-3", ["gpt-4o", "claude-3-opus"], False),
        ("before_id=gpt-4o", [], False),
        ("after_id=gpt-4o&before_id=meta/llama-3", ["claude-3-opus"], False),
        ("limit=1&after_id=gpt-4o&before_id=meta/llama-3", ["claude-3-opus"], False),
        ("after_id=meta/llama-3&before_id=gpt-4o", [], False),
        ("lifecycle[]=deprecated", ["claude-3-opus"], False),
        ("lifecycle=active&limit=1", ["gpt-4o"], True),
        ("lifecycle[]=active&lifecycle[]=deprecated&limit=2", ["gpt-4o", "claude-3-opus"], True),
        ("lifecycle=active&limit=1&before_id=meta/llama-3", ["gpt-4o"], False),
        ("lifecycle=retired", [], False),
    ],
)
async def test_pages_are_cut_where_asked(query, ids, more):
    assert await anthropic_page(query) == (ids, more)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_following_the_pages_visits_each_model_once(limit):
    seen: list[str] = []
    more, after = True, ""
    while more:
        ids, more = await anthropic_page(f"limit={limit}{after}")
        seen += ids
        after = f"&after_id={ids[-1]}"

    assert seen == [model.id for model in MODELS]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=ten",
        "limit=-1",
        "limit=999999999999",
        "limit=%C2%B2",
        "after_id=nothing",
        "before_id=nothing",
        "after_id=gpt-4o&before_id=nothing",
        "lifecycle=newborn",
    ],
)
async def test_a_page_that_cannot_be_is_400(query):
    answer = await ask(f"/v1/models?{query}", version=True)

    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_one_model_is_found_by_an_id_with_slashes_in_both_shapes():
    openai = await ask("/v1/models/meta/llama-3")
    anthropic = await ask("/v1/models/meta/llama-3", version=True)

    assert openai.json()["owned_by"] == "meta"
    assert anthropic.json()["display_name"] == "Llama 3"


async def test_an_unknown_model_is_404_in_both_shapes():
    openai = await ask("/v1/models/gpt-9")
    anthropic = await ask("/v1/models/gpt-9", version=True)

    assert (openai.status, openai.json()["error"]["code"]) == (404, "model_not_found")
    assert anthropic.json()["error"] == {"type": "not_found_error", "message": "model: gpt-9"}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-4o"])
async def test_without_a_key_nothing_is_listed(path):
    answer = await ask(path, key=None)

    assert answer.status == 401
