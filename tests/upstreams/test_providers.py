"""Every provider row, judged by the request that leaves for it."""

from dataclasses import dataclass, field

import msgspec
import pytest

from meterway.protocols.dialects import Dialect
from meterway.upstreams.encode import adapted, counting, joined, listing, outgoing
from meterway.upstreams.providers import PROVIDERS, engine_url
from meterway.upstreams.types import Channel, Credential, Provider, Route, Timeouts

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
RESPONSES = Dialect.OPENAI_RESPONSES
GEMINI = Dialect.GEMINI
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
BEARER = {"authorization": "Bearer sk-secret"}
X_API_KEY = {"x-api-key": "sk-secret"}
API_KEY = {"api-key": "sk-secret"}
GOOG_API_KEY = {"x-goog-api-key": "sk-secret"}

WIRE = {
    ("openai", CHAT): ("https://api.openai.com/v1/chat/completions", BEARER),
    ("openai", RESPONSES): ("https://api.openai.com/v1/responses", BEARER),
    ("azure-openai", CHAT): ("https://res.openai.azure.com/openai/v1/chat/completions", API_KEY),
    ("azure-openai", RESPONSES): ("https://res.openai.azure.com/openai/v1/responses", API_KEY),
    ("anthropic", MESSAGES): ("https://api.anthropic.com/v1/messages", X_API_KEY),
    ("gemini", CHAT): (
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        BEARER,
    ),
    ("gemini", GEMINI): (
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
        GOOG_API_KEY,
    ),
    ("openrouter", CHAT): ("https://openrouter.ai/api/v1/chat/completions", BEARER),
    ("openrouter", MESSAGES): ("https://openrouter.ai/api/v1/messages", BEARER),
    ("openrouter", RESPONSES): ("https://openrouter.ai/api/v1/responses", BEARER),
    ("deepseek", CHAT): ("https://api.deepseek.com/chat/completions", BEARER),
    ("deepseek", MESSAGES): ("https://api.deepseek.com/anthropic/v1/messages", BEARER),
    ("mistral", CHAT): ("https://api.mistral.ai/v1/chat/completions", BEARER),
    ("groq", CHAT): ("https://api.groq.com/openai/v1/chat/completions", BEARER),
    ("together", CHAT): ("https://api.together.ai/v1/chat/completions", BEARER),
    ("fireworks", CHAT): ("https://api.fireworks.ai/inference/v1/chat/completions", BEARER),
    ("fireworks", MESSAGES): ("https://api.fireworks.ai/inference/v1/messages", BEARER),
    ("xai", CHAT): ("https://api.x.ai/v1/chat/completions", BEARER),
    ("xai", RESPONSES): ("https://api.x.ai/v1/responses", BEARER),
    ("qwen", CHAT): (
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions",
        BEARER,
    ),
    ("qwen", MESSAGES): ("https://dashscope-intl.aliyuncs.com/apps/anthropic/v1/messages", BEARER),
    ("moonshot", CHAT): ("https://api.moonshot.ai/v1/chat/completions", BEARER),
    ("moonshot", MESSAGES): ("https://api.moonshot.ai/anthropic/v1/messages", BEARER),
    ("zhipu", CHAT): ("https://open.bigmodel.cn/api/paas/v4/chat/completions", BEARER),
    ("zhipu", MESSAGES): ("https://open.bigmodel.cn/api/anthropic/v1/messages", BEARER),
    ("zai", CHAT): ("https://api.z.ai/api/paas/v4/chat/completions", BEARER),
    ("zai", MESSAGES): ("https://api.z.ai/api/anthropic/v1/messages", BEARER),
    ("siliconflow", CHAT): ("https://api.siliconflow.cn/v1/chat/completions", BEARER),
    ("siliconflow", MESSAGES): ("https://api.siliconflow.cn/v1/messages", BEARER),
    ("minimax", CHAT): ("https://api.minimax.io/v1/chat/completions", BEARER),
    ("minimax", MESSAGES): ("https://api.minimax.io/anthropic/v1/messages", BEARER),
    ("perplexity", CHAT): ("https://api.perplexity.ai/chat/completions", BEARER),
    ("cerebras", CHAT): ("https://api.cerebras.ai/v1/chat/completions", BEARER),
    ("ollama", CHAT): ("http://127.0.0.1:11434/v1/chat/completions", BEARER),
    ("ollama", MESSAGES): ("http://127.0.0.1:11434/v1/messages", BEARER),
    ("vllm", CHAT): ("http://127.0.0.1:8000/v1/chat/completions", BEARER),
    ("vllm", MESSAGES): ("http://127.0.0.1:8000/v1/messages", BEARER),
    ("llama.cpp", CHAT): ("http://127.0.0.1:8080/v1/chat/completions", BEARER),
    ("llama.cpp", MESSAGES): ("http://127.0.0.1:8080/v1/messages", BEARER),
    ("lmstudio", CHAT): ("http://127.0.0.1:1234/v1/chat/completions", BEARER),
    ("lmstudio", MESSAGES): ("http://127.0.0.1:1234/v1/messages", BEARER),
    ("openai-compatible", CHAT): ("https://llm.example/v1/chat/completions", BEARER),
    ("anthropic-compatible", MESSAGES): ("https://llm.example/v1/messages", X_API_KEY),
    ("gemini-compatible", GEMINI): (
        "https://llm.example/v1beta/models/m:generateContent",
        GOOG_API_KEY,
    ),
    ("sandbox", CHAT): ("http://sandbox:80/v1/chat/completions", {}),
    ("sandbox", MESSAGES): ("http://sandbox:80/v1/messages", {}),
}
GIVEN = {
    "azure-openai": "https://res.openai.azure.com/openai/v1",
    "openai-compatible": "https://llm.example/v1",
    "anthropic-compatible": "https://llm.example",
    "gemini-compatible": "https://llm.example/v1beta",
}


@dataclass
class FakeTransport:
    """Keeps what it was asked to send, as text."""

    lines: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def send(self, request):
        url = request.url
        port = "" if (url.scheme, url.port) == ("https", 443) else f":{url.port}"
        self.lines.append(f"{request.method} {url.scheme}://{url.host}{port}{url.target}")
        assert len(dict(request.headers)) == len(request.headers), "a header is sent twice"
        self.headers = {name.decode(): value.decode() for name, value in request.headers}
        self.body = request.body


def route(name: str, dialect: Dialect, secret: str | None = "sk-secret", **extra) -> Route:
    provider = PROVIDERS[name]
    base_url = extra.pop("base_url", None) or provider.base_url or GIVEN[name]
    channel = Channel(
        id=1, name=name, provider=provider, base_url=base_url, credentials=(), **extra
    )
    credential = Credential("1", secret) if secret else None
    return Route(channel=channel, credential=credential, model="m", dialect=dialect)


def sent(request) -> FakeTransport:
    transport = FakeTransport()
    transport.send(request)
    return transport


def test_every_row_and_dialect_has_a_wire_test():
    assert set(WIRE) == {
        (row.name, dialect) for row in PROVIDERS.values() for dialect in row.speaks
    }


def test_no_row_is_spoken_to_in_responses_but_by_clients_of_responses():
    rows = [row for row in PROVIDERS.values() if RESPONSES in row.speaks]

    assert rows
    assert all(next(iter(row.speaks)) is CHAT for row in rows)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "dialect"), WIRE, ids="/".join)
def test_a_row_is_called_where_and_how_its_vendor_says(name, dialect, stream):
    address, auth = WIRE[name, dialect]

    wire = sent(outgoing(route(name, dialect), BODY, {}, stream=stream))

    expected = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",
        "user-agent": "meterway/0.1.0",
        **auth,
    }
    if dialect is MESSAGES:
        expected["anthropic-version"] = "2023-06-01"
    if stream and dialect is GEMINI:
        address = address.replace(":generateContent", ":streamGenerateContent?alt=sse")
    assert wire.lines == [f"POST {address}"]
    assert wire.headers == expected
    assert wire.body == BODY


@pytest.mark.parametrize(
    ("name", "refused"), [(row.name, sorted(row.drops)) for row in PROVIDERS.values() if row.drops]
)
def test_refused_fields_are_left_out_and_named(name, refused):
    body = b'{"model":"m","unknown":{"a":[1, 2]},%s}' % b",".join(
        b'"%s":1' % field.encode() for field in refused
    )

    encoded = adapted(PROVIDERS[name], body)

    assert encoded.body == b'{"model":"m","unknown":{"a":[1, 2]}}'
    assert sorted(encoded.dropped) == refused
    request = outgoing(route(name, CHAT), body, {}, stream=False)
    wire = sent(request)
    assert request.dropped == encoded.dropped
    assert wire.body == encoded.body


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [(row.name, *pair) for row in PROVIDERS.values() for pair in row.renames.items()],
)
def test_fields_take_the_name_the_provider_knows(name, ours, theirs):
    body = b'{"model":"m","%s":7}' % ours.encode()

    encoded = adapted(PROVIDERS[name], body)

    assert encoded.body == b'{"model":"m","%s":7}' % theirs.encode()
    assert encoded.dropped == ()


def test_a_field_given_under_both_names_keeps_the_providers_own():
    body = b'{"max_tokens":5,"max_completion_tokens":9}'

    assert adapted(PROVIDERS["deepseek"], body).body == b'{"max_tokens":5}'


def test_a_body_without_such_fields_is_not_encoded_again():
    body = b'{ "model" : "m" }'

    assert adapted(PROVIDERS["mistral"], body).body is body


def test_version_and_betas_of_the_call_travel_to_messages_upstreams_only():
    headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2"}

    messages = sent(outgoing(route("anthropic", MESSAGES), BODY, headers, stream=False))
    chat = sent(outgoing(route("openai", CHAT), BODY, headers, stream=False))

    assert messages.headers["anthropic-version"] == "2026-10-21"
    assert messages.headers["anthropic-beta"] == "a-1,b-2"
    assert not {"anthropic-version", "anthropic-beta"} & set(chat.headers)


def test_operators_betas_join_the_calls_and_their_version_is_the_default():
    own = {"Anthropic-Beta": "own-1", "anthropic-version": "2026-10-21"}
    way = route("anthropic", MESSAGES, headers=own)

    plain = sent(outgoing(way, BODY, {}, stream=False))
    asked = sent(outgoing(way, BODY, {"anthropic-beta": "b-2"}, stream=False))

    assert plain.headers["anthropic-version"] == "2026-10-21"
    assert plain.headers["anthropic-beta"] == "own-1"
    assert asked.headers["anthropic-beta"] == "own-1,b-2"


def test_channel_headers_and_timeouts_are_the_requests():
    way = route("openai", CHAT, headers={"OpenAI-Project": "p"}, timeouts=Timeouts(connect=1.0))

    request = outgoing(way, BODY, {}, stream=False)

    assert dict(request.headers)[b"openai-project"] == b"p"
    assert request.timeouts == Timeouts(connect=1.0)


def test_two_keys_of_one_channel_never_share_prepared_headers():
    first = sent(outgoing(route("openai", CHAT, "sk-1"), BODY, {}, stream=False))
    second = sent(outgoing(route("openai", CHAT, "sk-2"), BODY, {}, stream=False))

    assert first.headers["authorization"] == "Bearer sk-1"
    assert second.headers["authorization"] == "Bearer sk-2"


def test_a_route_without_credential_sends_none():
    wire = sent(outgoing(route("ollama", CHAT, None), BODY, {}, stream=False))

    assert "authorization" not in wire.headers


def test_the_newline_of_a_key_file_is_not_sent():
    wire = sent(outgoing(route("anthropic", MESSAGES, "sk-1\n"), BODY, {}, stream=False))

    assert wire.headers["x-api-key"] == "sk-1"


def test_the_providers_own_counter_is_asked_where_it_has_one():
    request = counting(route("anthropic", MESSAGES), BODY, {})

    assert request is not None
    wire = sent(request)
    assert wire.lines == ["POST https://api.anthropic.com/v1/messages/count_tokens"]
    assert wire.headers["anthropic-version"] == "2023-06-01"
    assert counting(route("openai", CHAT), BODY, {}) is None


def test_a_model_stands_in_the_path_and_cannot_leave_it():
    way = msgspec.structs.replace(route("gemini", GEMINI), model="../v1/a b?x")
    named = msgspec.structs.replace(way, model="models/gemini-2.5-flash")

    odd, count = outgoing(way, BODY, {}, stream=False), counting(named, BODY, {})
    assert odd.url.target == "/v1beta/models/..%2Fv1%2Fa%20b%3Fx:generateContent"
    assert count is not None
    assert count.url.target == "/v1beta/models/gemini-2.5-flash:countTokens"


def test_what_one_face_refuses_travels_to_the_other():
    body = b'{"contents":[],"store":false}'

    request = outgoing(route("gemini", GEMINI), body, {}, stream=False)

    assert sent(request).body == body
    assert request.dropped == ()
    assert outgoing(route("gemini", CHAT), body, {}, stream=False).dropped == ("store",)


def test_a_channel_made_for_the_compatible_face_reaches_the_native_one():
    base = "https://generativelanguage.googleapis.com/v1beta/openai"

    native = outgoing(route("gemini", GEMINI, base_url=base), BODY, {}, stream=False)
    chat = outgoing(route("gemini", CHAT, base_url=base), BODY, {}, stream=False)

    assert native.url.target == "/v1beta/models/m:generateContent"
    assert chat.url.target == "/v1beta/openai/chat/completions"


def test_models_are_listed_by_a_get_without_body():
    request = listing(route("azure-openai", CHAT))

    assert request is not None
    wire = sent(request)
    assert wire.lines == ["GET https://res.openai.azure.com/openai/v1/models"]
    assert wire.body == b""
    assert listing(route("perplexity", CHAT)) is None


@pytest.mark.parametrize(
    ("base", "path", "whole"),
    [
        ("https://x/v1", "/chat/completions", "https://x/v1/chat/completions"),
        ("https://x/v1/", "/chat/completions", "https://x/v1/chat/completions"),
        ("https://x/v1", "/v1/messages", "https://x/v1/messages"),
        ("https://x", "/v1/messages", "https://x/v1/messages"),
        ("https://x/v1", "/anthropic/v1/messages", "https://x/anthropic/v1/messages"),
        ("https://x/a/v1", "/a/v1/chat", "https://x/a/v1/chat"),
        ("https://x/v1/messages", "/v1/messages", "https://x/v1/messages"),
        ("https://x/v1?api-version=p", "/chat", "https://x/v1/chat?api-version=p"),
        ("https://x", "/v1beta/a?alt=sse", "https://x/v1beta/a?alt=sse"),
        ("https://x/v1beta?key=k", "/v1beta/a?alt=sse", "https://x/v1beta/a?alt=sse&key=k"),
        ("https://x/v1", "/v1beta/models", "https://x/v1beta/models"),
        ("https://x/p/v1beta/openai/", "/v1beta/models", "https://x/p/v1beta/models"),
        ("https://x/v1/openai", "/chat/completions", "https://x/v1/openai/chat/completions"),
        ("http://[::1]:8080/v10", "/v1/chat", "http://[::1]:8080/v10/v1/chat"),
    ],
)
def test_base_and_path_are_joined_without_repeating(base, path, whole):
    assert joined(base, path) == whole


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        (":9999", "http://127.0.0.1:9999"),
        ("[::]:1", "http://127.0.0.1:1"),
        ("[::1]:1", "http://[::1]:1"),
        ("gpu-box", "http://gpu-box:11434"),
        ("https://gpu.example/ollama/", "https://gpu.example/ollama"),
    ],
)
def test_an_engines_listen_address_becomes_one_to_call(given, url):
    assert engine_url(PROVIDERS["ollama"], given) == url


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=lambda row: row.name)
def test_a_row_is_complete(row: Provider):
    assert row.source.startswith("https://") or row.name == "sandbox"
    assert row.base_url or row.name in GIVEN
    assert row.local or row.key_env or row.name.endswith("-compatible")
    assert not row.drops & set(row.renames)
    assert set(row.counts) <= set(row.speaks)


def test_environment_names_belong_to_one_row_each():
    names = [row.key_env for row in PROVIDERS.values() if row.key_env]

    assert len(names) == len(set(names))
    assert {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"} <= set(
        names
    )


def test_a_channel_that_was_replaced_sends_its_new_secret():
    def sent(secret: str) -> dict[bytes, bytes]:
        credential = Credential("key", secret)
        channel = Channel(
            id=1,
            name="same",
            provider=PROVIDERS["openai"],
            base_url="https://x/v1",
            credentials=(credential,),
        )
        route = Route(channel=channel, credential=credential, model="m", dialect=CHAT)
        return dict(outgoing(route, BODY, {}, stream=False).headers)

    secrets = [sent(f"sk-{number}")[b"authorization"] for number in range(20)]

    assert secrets == [b"Bearer sk-%d" % number for number in range(20)]
