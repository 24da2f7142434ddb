"""The wiring of a worker: every route described, every error known, snapshots that follow."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.errors import InvalidKeyError
from meterway.db.engine import transaction
from meterway.edge.platform import docs
from meterway.edge.platform.openapi import document
from meterway.kit import secret_file
from meterway.limits.service import create_counts
from meterway.processes.gateway import Gateway, build, limits_of
from meterway.processes.workplace import Workplace
from meterway.routing.health import Breaker, Health
from meterway.routing.router import Router
from meterway.settings import load
from tests.factories.relays import channel
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import Answer, serving


def _place(folder: Path) -> Workplace:
    """Make what a parent makes for its workers."""
    place = Workplace(folder)
    create_counts(place.limits, 4)
    return place


@pytest.fixture
async def gateway(sqlite: AsyncEngine, tmp_path: Path):
    """A worker's gateway on a fresh database, and no counter process."""
    secret_file.create(tmp_path / "secret")
    flags = {"data": tmp_path, "database_url": f"sqlite:///{tmp_path}/test.db"}
    settings = load(flags, environ={})
    made = await build(settings, node=3, place=_place(tmp_path))
    yield made
    await made.close()


async def ask(gateway: Gateway, head: str) -> Answer:
    async with serving(gateway.app) as server:
        client = await server.connect()
        return await client.ask(f"{head}\r\nhost: localhost\r\n\r\n".encode())


async def test_every_route_is_described_and_every_description_is_served(gateway):
    served = {(route.method.lower(), route.path) for route in gateway.app.routes}
    served -= {("get", path) for path in docs.ASSETS if path != "/docs"}
    described = {
        (method, path) for path, methods in document()["paths"].items() for method in methods
    }

    assert served == described


async def test_a_gateway_on_a_migrated_database_is_ready(gateway):
    answer = await ask(gateway, "GET /ready HTTP/1.1")

    assert (answer.status, answer.json()["status"]) == (200, "ready")


async def test_a_draining_gateway_wants_no_traffic_but_lives(gateway):
    gateway.drain()

    ready = await ask(gateway, "GET /readyz HTTP/1.1")
    alive = await ask(gateway, "GET /livez HTTP/1.1")

    assert (ready.status, alive.status) == (503, 200)


async def test_a_database_at_another_version_is_not_ready(gateway, sqlite):
    async with transaction(sqlite) as tx:
        await tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    answer = await ask(gateway, "GET /health/readiness HTTP/1.1")

    assert answer.status == 503
    assert "9999" in answer.json()["checks"]["migrations"]


async def test_a_gateway_whose_database_is_away_starts_and_says_503_never_401(tmp_path):
    secret_file.create(tmp_path / "secret")
    flags = {"data": tmp_path, "database_url": f"sqlite:///{tmp_path}/missing/test.db"}
    gateway = await build(load(flags, environ={}), node=0, place=_place(tmp_path))
    key = "sk-" + "a" * 48

    ready = await ask(gateway, "GET /ready HTTP/1.1")
    models = await ask(gateway, f"GET /v1/models HTTP/1.1\r\nx-api-key: {key}")
    await gateway.close()

    assert (ready.status, models.status) == (503, 503)
    assert models.headers["retry-after"] == "1"


async def test_questions_about_keys_end_before_the_database_is_let_go(sqlite, tmp_path):
    secret_file.create(tmp_path / "secret")
    flags = {"data": tmp_path, "database_url": f"sqlite:///{tmp_path}/test.db"}
    gateway = await build(load(flags, environ={}), node=3, place=_place(tmp_path))
    open_questions = []

    def look(engine):
        open_questions.append([t for t in asyncio.all_tasks() if t.get_name() == "key.lookup"])

    event.listen(gateway._engine.sync_engine, "engine_disposed", look)
    asked = asyncio.create_task(gateway._authenticator.principal("sk-" + "a" * 48))
    await asyncio.sleep(0)

    await gateway.close()

    assert open_questions == [[]]
    with pytest.raises(InvalidKeyError):
        await asked


@pytest.mark.parametrize(
    "route",
    [
        "POST /v1/chat/completions",
        "POST /v1/messages",
        "POST /v1/messages/count_tokens",
        "POST /v1/completions",
        "POST /v1/complete",
        "GET /v1/models",
        "GET /v1/models/gpt-4o",
        "POST /v1beta/models/gpt-4o:generateContent",
        "POST /v1beta/models/gpt-4o:streamGenerateContent",
        "POST /v1beta/models/gpt-4o:countTokens",
        "GET /v1beta/models",
        "GET /v1beta/models/gpt-4o",
    ],
)
async def test_a_route_of_the_vendors_is_401_without_a_key(gateway, route):
    answer = await ask(gateway, f"{route} HTTP/1.1\r\ncontent-length: 0")

    assert answer.status == 401


async def test_a_bad_key_is_shown_masked_alone(gateway):
    key = "sk-" + "abcdefgh" * 6

    answer = await ask(gateway, f"GET /v1/models HTTP/1.1\r\nauthorization: Bearer {key}")

    assert answer.status == 401
    assert key not in str(answer.body)
    assert "***" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "most"), [("claude-3-opus", 4096), ("TA/claude-3-opus", 4096), ("TA/other", None)]
)
async def test_what_a_model_can_write_is_known_by_any_of_its_names(gateway, name, most):
    relaying = gateway._relaying
    relaying.gate.router = Router(
        [channel(prefix="TA", models={"claude-3-opus": "up", "other": "other"})],
        relaying.catalog,
        Health(FakeClock(), Breaker(threshold=1, first=7)),
        priced=lambda asked: asked == "claude-3-opus",
    )

    assert relaying.most_output(name) == most


def test_the_settings_bound_a_connection():
    flags = {"head_limit": 1, "head_count": 2, "head_timeout": 3.0, "body_idle_timeout": 4.0}
    limits = limits_of(load(flags, environ={}))

    assert (limits.head_bytes, limits.head_count) == (1, 2)
    assert (limits.head_seconds, limits.body_idle_seconds) == (3.0, 4.0)
