"""The platform's own endpoints: health, readiness, figures, documentation."""

import asyncio
import re

import pytest

from meterway.auth.types import Principal
from meterway.edge.platform import docs
from meterway.edge.platform.health import Readiness, alive
from meterway.edge.platform.metrics import Metrics
from meterway.edge.platform.openapi import document, openapi
from meterway.edge.platform.version import version
from meterway.edge.server import Route, Server
from meterway.kit import metrics
from meterway.kit.errors import UnavailableError
from meterway.kit.ids import CallIds
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import Answer, serving


async def ask(handler, path: str = "/it", **headers: str) -> Answer:
    headers = {"host": "127.0.0.1:8787"} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    async with serving(Server([Route("GET", path, handler)], CallIds(0))) as server:
        client = await server.connect()
        return await client.ask(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())


# -- health --------------------------------------------------------------------------------------


async def test_alive_touches_nothing():
    answer = await ask(alive)

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


class Checks:
    """Two checks, of which the test breaks one, and how often they ran."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.ran = 0

    async def good(self) -> None:
        self.ran += 1

    async def doubtful(self) -> None:
        if self.error is not None:
            raise self.error

    def readiness(self, clock: FakeClock) -> Readiness:
        return Readiness({"good": self.good, "doubtful": self.doubtful}, clock)


async def test_ready_when_every_check_is():
    answer = await ask(Checks().readiness(FakeClock()))

    assert answer.status == 200
    assert answer.json() == {"status": "ready", "checks": {"good": "ok", "doubtful": "ok"}}


async def test_one_failing_check_is_503_and_says_why():
    answer = await ask(Checks(UnavailableError("The database is away.")).readiness(FakeClock()))

    assert answer.status == 503
    assert answer.json()["checks"] == {"good": "ok", "doubtful": "The database is away."}


async def test_draining_is_503_whatever_the_checks_say():
    readiness = Checks().readiness(FakeClock())
    readiness.draining = True

    answer = await ask(readiness)

    assert (answer.status, answer.json()["status"]) == (503, "draining")


async def test_a_verdict_is_kept_for_a_second():
    clock, checks = FakeClock(), Checks()
    readiness = checks.readiness(clock)

    await ask(readiness)
    await ask(readiness)
    clock.advance(1.5)
    await ask(readiness)

    assert checks.ran == 2


async def test_readiness_recovers_with_the_database():
    clock, checks = FakeClock(), Checks(UnavailableError("away"))
    readiness = checks.readiness(clock)
    before = await ask(readiness)

    checks.error = None
    clock.advance(1.5)
    after = await ask(readiness)

    assert (before.status, after.status) == (503, 200)


# -- figures -------------------------------------------------------------------------------------


class Keys:
    """An authenticator that knows an ordinary key and an admin's."""

    def known(self, token):
        admin = {"sk-plain": False, "sk-admin": True}[token]
        return Principal(key_id=1, user_id=1, key_name="sk-***", is_admin=admin)


def figures(token: str | None = None) -> Metrics:
    return Metrics(Keys(), token)  # type: ignore[arg-type]  # a fake of the one method used


async def test_this_machine_may_read_the_figures():
    metrics.REFUSALS.labels(418, "teapot").inc()

    answer = await ask(figures())

    assert answer.headers["content-type"].startswith("text/plain")
    assert b'meterway_refusals_total{code="teapot",status="418"} 1.0' in answer.body


@pytest.mark.parametrize("host", ["localhost", "localhost:8787", "127.0.0.1", "[::1]", "[::1]:80"])
async def test_this_machine_has_several_names(host):
    answer = await ask(figures(), host=host)

    assert answer.status == 200


@pytest.mark.parametrize(
    "header",
    [
        {"x_forwarded_for": "203.0.113.1"},
        {"forwarded": "for=203.0.113.1"},
        {"via": "1.1 proxy"},
        {"origin": "https://page.example"},
        {"host": "rebound.example"},
        {"host": "127.0.0.1.example:80"},
    ],
)
async def test_what_only_looks_local_needs_a_credential(header):
    answer = await ask(figures(), **header)

    assert answer.status == 401
    assert b"meterway_" not in answer.body


async def test_with_a_token_set_this_machine_needs_it_too():
    without = await ask(figures("secret-token"))
    right = await ask(figures("secret-token"), authorization="Bearer secret-token", host="x")

    assert (without.status, right.status) == (401, 200)


async def test_an_admin_key_reads_the_figures_an_ordinary_one_does_not():
    admin = await ask(figures("t"), x_api_key="sk-admin")
    plain = await ask(figures("t"), x_api_key="sk-plain")

    assert (admin.status, plain.status) == (200, 403)


# -- documentation -------------------------------------------------------------------------------


async def test_the_description_is_served_with_the_version():
    served = (await ask(openapi)).json()
    told = (await ask(version)).json()

    assert served["openapi"] == "3.1.0"
    assert served["info"]["version"] == told["version"]


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_of_the_description_leads_somewhere():
    whole = document()

    for reference in references(whole):
        node = whole
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_operations_have_unique_names_and_known_tags():
    whole = document()
    operations = [op for methods in whole["paths"].values() for op in methods.values()]
    tags = {tag["name"] for tag in whole["tags"]}

    assert len({op["operationId"] for op in operations}) == len(operations)
    assert all(set(op["tags"]) <= tags for op in operations)


@pytest.mark.parametrize("path", docs.ASSETS)
async def test_the_page_and_its_parts_are_served_from_the_package(path):
    answer = await ask(docs.asset(path), path)

    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]


_SPOKEN = r'''data-(?:text|label)"?[=:] ?"(\w+)"|said\("\w+", "(\w+)"\)|table\("(\w+)"'''


async def test_every_word_of_the_page_is_there_in_each_language():
    paths = ("/docs/texts.json", "/docs", "/docs/docs.js")

    texts, page, script = [await ask(docs.asset(path), path) for path in paths]

    found = re.findall(_SPOKEN, page.body.decode() + script.body.decode())
    spoken = {word for groups in found for word in groups if word}
    assert {language: set(words) for language, words in texts.json().items()} == {
        "en": spoken,
        "zh": spoken,
        "ja": spoken,
    }


async def test_the_page_loads_nothing_from_elsewhere():
    bodies = await asyncio.gather(*(ask(docs.asset(path), path) for path in docs.ASSETS))
    loaded = [
        link
        for answer in bodies
        for link in re.findall(
            r"""(?:src|href|url\(|fetch\()\s*[=(]?\s*["']([^"']+)""", str(answer.body)
        )
    ]

    assert loaded
    assert not [link for link in loaded if re.match(r"(https?:)?//", link)]
    assert {"/docs/docs.css", "/docs/docs.js", "/openapi.json"} <= set(loaded)
