"""Local engines are found at their addresses, and their models offered."""

import asyncio
import json
import shutil

import msgspec
import pytest

from meterway.cli.engines import DETECTED_PRIORITY, Engines, address_of, offered
from meterway.cli.installation import opened, prepare
from meterway.db.engine import reading, transaction
from meterway.protocols.dialects import Dialect
from meterway.routing import service as routing
from meterway.routing.types import NewChannel, Origin
from meterway.settings import load
from meterway.upstreams.errors import ConnectError
from meterway.upstreams.providers import PROVIDERS
from meterway.upstreams.transports.native import NativeTransport
from meterway.upstreams.types import Provider
from tests.factories.gateways import Gateway
from tests.fakes.http_server import Client
from tests.fakes.transport import ScriptedTransport, whole
from tests.fakes.upstream_server import UpstreamServer, chunk, head, reply


def listed(*names):
    data = [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in names]
    return {"object": "list", "data": data}


def engine_row(name, url):
    return Provider(
        name=name,
        title=name,
        base_url=url,
        speaks={Dialect.OPENAI_CHAT: "/v1/chat/completions"},
        url_env=f"{name.upper()}_HOST",
        local=True,
        models_path="/v1/models",
        source="x",
    )


ONE = engine_row("one", "http://127.0.0.1:5001")
TWO = engine_row("two", "http://127.0.0.1:5002")


async def _detected(*answers, rows=(ONE,), environ=None, taken=()):
    transport = ScriptedTransport(*answers)
    engines = Engines({row.name: row for row in rows}, transport)
    found = await engines.detected(environ or {}, taken)
    return {channel.name: channel for channel in found}, [str(r.url.target) for r in transport.sent]


# -- asking ------------------------------------------------------------------------------------


async def test_an_engine_that_lists_models_becomes_a_channel_behind_all_others():
    found, asked = await _detected(whole(listed("a:latest", "b:7b")))

    assert asked == ["/v1/models"]
    assert found["one"].origin is Origin.DETECTED
    assert found["one"].priority == DETECTED_PRIORITY > NewChannel(name="x", provider="y").priority
    assert found["one"].models == {"a": "a:latest", "a:latest": "a:latest", "b:7b": "b:7b"}


@pytest.mark.parametrize(
    "answer",
    [
        ConnectError("refused"),
        whole({"error": {"message": "Incorrect API key provided."}}, status=401),
        whole(listed("a"), status=404),
        whole(listed("a"), status=302),
        whole({"hello": "world"}),
        whole(listed()),
    ],
    ids=["refused", "another gateway", "no such path", "redirect", "a web server", "no models"],
)
async def test_what_lists_no_models_is_no_engine(answer):
    found, _ = await _detected(answer)

    assert found == {}


async def test_each_engine_is_asked_for_itself():
    found, _ = await _detected(ConnectError("refused"), whole(listed("m")), rows=(ONE, TWO))

    assert list(found) == ["two"]


@pytest.mark.parametrize(
    "options",
    [
        {"environ": {"ONE_HOST": "10.0.0.1"}},
        {"taken": {("127.0.0.1", 5001)}},
        {"rows": (engine_row("far", "http://10.0.0.1:5001"),)},
        {"rows": (engine_row("named", "http://engine.example:5001"),)},
        {"rows": (msgspec.structs.replace(ONE, local=False),)},
        {"rows": (msgspec.structs.replace(ONE, models_path=None),)},
    ],
    ids=["named elsewhere", "taken", "far", "by name", "a vendor", "without a list"],
)
async def test_other_addresses_are_never_asked(options):
    _, asked = await _detected(whole(listed("a")), **options)

    assert asked == []


def test_every_engine_of_the_product_is_looked_for_on_this_machine():
    rows = {
        row.name: address_of(row.base_url or "")
        for row in PROVIDERS.values()
        if row.url_env and row.local
    }

    assert rows == {
        "ollama": ("127.0.0.1", 11434),
        "vllm": ("127.0.0.1", 8000),
        "llama.cpp": ("127.0.0.1", 8080),
        "lmstudio": ("127.0.0.1", 1234),
    }


async def test_an_engine_that_hangs_does_not_delay_the_start():
    async with UpstreamServer() as server:
        server.always(asyncio.Event())
        row = engine_row("slow", f"http://127.0.0.1:{server.port}")
        transport = NativeTransport()

        found = await Engines({"slow": row}, transport, patience=0.05).detected({}, ())
        await transport.close()

        assert found == []
        await server.all_closed()


async def test_a_list_without_an_end_is_given_up():
    async with UpstreamServer() as server:
        endless = (chunk(b" " * 65536),) * 20
        server.always(head(200, (b"transfer-encoding", b"chunked")), *endless, asyncio.Event())
        row = engine_row("big", f"http://127.0.0.1:{server.port}")
        transport = NativeTransport()

        found = await Engines({"big": row}, transport, patience=60.0).detected({}, ())
        await transport.close()

        assert found == []


def test_a_name_without_a_tag_means_the_latest():
    assert offered(["x:latest", ":latest"]) == {
        "x": "x:latest",
        "x:latest": "x:latest",
        ":latest": ":latest",
    }
    assert offered(["x", "x:latest"])["x"] == "x"


def test_addresses_are_compared_by_host_and_port():
    assert address_of("http://localhost:8000/v1") == address_of("http://127.0.0.1:8000")
    assert address_of("https://x") == ("x", 443)


# -- starting ----------------------------------------------------------------------------------


class Starts:
    """An installation that is started again and again beside one engine."""

    def __init__(self, folder, server):
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}"
        self.providers = {"one": engine_row("one", self.url), "two": TWO, **_vendor()}
        self._flags = {"data": folder}
        self.lists("a")

    def lists(self, *names):
        self.server.always(reply(json.dumps(listed(*names)).encode()))

    def is_gone(self):
        self.server.always(reply(b"starting", status=503))

    async def start(self, environ=None, **flags):
        settings = load({**self._flags, **flags}, environ={})
        await prepare(settings, environ or {}, self.providers)

    async def command(self, act, *arguments, **options):
        async with opened(load(self._flags, environ={})) as place:
            box = (place.secrets.box,) if act is routing.add_channel else ()
            async with transaction(place.engine) as tx:
                await act(tx, *box, *arguments, **options)

    async def seen(self):
        """Return name → (origin, enabled, models)."""
        async with (
            opened(load(self._flags, environ={})) as place,
            reading(place.engine) as connection,
        ):
            channels = await routing.list_channels(connection, place.secrets.box, self.providers)
            origins = {row.id: row.origin for row in await routing.stored(connection)}
        return {c.name: (str(origins[c.id]), c.enabled, sorted(c.models)) for c in channels}


def _vendor():
    return {"openai": PROVIDERS["openai"], "openai-compatible": PROVIDERS["openai-compatible"]}


@pytest.fixture
async def starts(installed, tmp_path):
    data = shutil.copytree(installed.data, tmp_path / "data")
    async with UpstreamServer() as server:
        yield Starts(data, server)


async def test_a_start_finds_what_runs_and_the_next_follows_its_list(starts):
    await starts.start()
    first = await starts.seen()
    starts.lists("b", "c")
    await starts.start()

    assert first == {"one": ("detected", True, ["a"])}
    assert await starts.seen() == {"one": ("detected", True, ["b", "c"])}


async def test_an_engine_that_is_gone_keeps_its_channel(starts):
    await starts.start()
    starts.is_gone()

    await starts.start()

    assert await starts.seen() == {"one": ("detected", True, ["a"])}


async def test_the_setting_keeps_engines_unasked_and_takes_their_channels_away(starts):
    await starts.start()
    asked = len(starts.server.requests)

    await starts.start(detect_engines=False)
    off = await starts.seen()
    unasked = len(starts.server.requests)
    await starts.start()

    assert off == {"one": ("detected", False, ["a"])}
    assert asked == unasked == 1
    assert (await starts.seen())["one"][1]


async def test_what_the_operator_disabled_or_removed_stays_so(starts):
    await starts.start()
    await starts.command(routing.set_enabled, "one", enabled=False)
    starts.lists("b")
    await starts.start()
    disabled = await starts.seen()
    await starts.command(routing.remove_channel, "one", now=2.0)
    await starts.start()

    assert disabled == {"one": ("detected", False, ["b"])}
    assert await starts.seen() == {}


async def test_an_engine_the_environment_names_lists_its_models(starts):
    await starts.start({"ONE_HOST": starts.url})

    assert await starts.seen() == {"one": ("environment", True, ["a"])}


async def test_a_named_engine_that_never_answered_takes_every_name(starts):
    starts.is_gone()

    await starts.start({"ONE_HOST": starts.url})

    assert await starts.seen() == {"one": ("environment", True, [])}


async def test_a_named_engine_that_fell_silent_keeps_its_list_until_it_moves(starts):
    await starts.start({"ONE_HOST": starts.url})
    starts.is_gone()
    await starts.start({"ONE_HOST": starts.url})
    silent = await starts.seen()
    await starts.start({"ONE_HOST": "http://127.0.0.1:9"})

    assert silent == {"one": ("environment", True, ["a"])}
    assert await starts.seen() == {"one": ("environment", True, [])}


async def test_a_named_engine_beyond_this_machine_is_not_asked(starts):
    await starts.start({"ONE_HOST": "http://engine.invalid:1"})

    assert await starts.seen() == {"one": ("environment", True, [])}
    assert starts.server.requests == []


async def test_the_environment_takes_over_what_was_detected_and_gives_it_back(starts):
    await starts.start()
    await starts.start({"ONE_HOST": starts.url})
    named = await starts.seen()
    await starts.start()

    assert named["one"][0] == "environment"
    assert await starts.seen() == {"one": ("detected", True, ["a"])}


async def test_an_address_that_has_a_channel_is_not_detected_again(starts):
    mine = NewChannel(
        name="mine", provider="openai-compatible", base_url=f"{starts.url}/v1", secrets=("none",)
    )
    await starts.start(detect_engines=False)
    await starts.command(routing.add_channel, mine, starts.providers, now=1.0)
    await starts.start()
    by_command = await starts.seen()
    await starts.command(routing.remove_channel, "mine", now=2.0)
    await starts.start({"TWO_HOST": starts.url})

    assert by_command == {"mine": ("cli", True, [])}
    assert await starts.seen() == {"two": ("environment", True, ["a"])}


async def test_our_own_port_is_not_asked(starts):
    await starts.start(port=starts.server.port)

    assert starts.server.requests == []


async def test_vendors_channels_are_left_as_they_are(starts):
    await starts.start({"OPENAI_API_KEY": "k"}, detect_engines=False)

    assert await starts.seen() == {"openai": ("environment", True, [])}
    assert starts.server.requests == []


# -- serving -----------------------------------------------------------------------------------

CHAT = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"qwen3:latest","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"from the engine"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}'
)


async def test_an_engine_that_runs_answers_through_the_gateway(installed, tmp_path):
    async with UpstreamServer() as server:
        server.script(reply(json.dumps(listed("qwen3:latest")).encode()))
        server.always(reply(CHAT))
        gateway = Gateway(tmp_path, OLLAMA_HOST=f"127.0.0.1:{server.port}").init(installed)
        await asyncio.to_thread(gateway.start)

        try:
            models = await _ask(gateway, "GET /v1/models")
            answer = await _ask(gateway, "POST /v1/chat/completions", "qwen3")
        finally:
            assert await asyncio.to_thread(gateway.stop) == 0

        assert [model["id"] for model in models.json()["data"]][-2:] == ["qwen3", "qwen3:latest"]
        assert answer.json()["choices"][0]["message"]["content"] == "from the engine"
        assert answer.json()["model"] == "qwen3"
        assert json.loads(server.requests[-1].body)["model"] == "qwen3:latest"
        assert [r.target for r in server.requests] == ["/v1/models", "/v1/chat/completions"]


async def _ask(gateway, what, model=None):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    data = json.dumps(body).encode() if model else b""
    host, port = gateway.base.removeprefix("http://").split(":")
    client = Client(*await asyncio.open_connection(host, int(port)))
    lines = f"{what} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
    try:
        return await client.ask(f"{lines}content-length: {len(data)}\r\n\r\n".encode() + data)
    finally:
        client.leave()
