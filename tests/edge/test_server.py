"""Finding the handler, base URLs as clients write them, CORS, and errors in the right dialect."""

import pytest
from structlog.testing import capture_logs

from meterway.edge.http import request_of, send_reply
from meterway.edge.server import Route, Server, family_of
from meterway.kit.errors import InvalidRequestError
from meterway.kit.ids import CallIds
from meterway.protocols.dialects import Family
from tests.fakes.http_server import Answer, serving

SECRET = "sk-verysecretverysecret"


async def tell(scope, receive, send) -> None:
    """Answer with the path and parameters the handler sees."""
    text = f"{scope['path']} {scope.get('path_params', {})}"
    await send_reply(send, 200, request_of(scope).head, text.encode())


async def fail(scope, receive, send) -> None:
    raise RuntimeError("inside: something broke")


async def refuse(scope, receive, send) -> None:
    raise InvalidRequestError("No.", param="messages[0]")


async def break_off(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise RuntimeError("too late to tell")


def server() -> Server:
    return Server(
        [
            Route("GET", "/health", tell),
            Route("GET", "/", tell),
            Route("POST", "/v1/chat/completions", tell),
            Route("POST", "/v1/messages", fail),
            Route("POST", "/v1/messages/count_tokens", refuse),
            Route("GET", "/v1/models", tell),
            Route("GET", "/v1/models/{model}", tell),
            Route("POST", "/v1/cut", break_off),
            Route("GET", "/v1/things/{thing}/parts", tell),
            Route("GET", "/v1/things/{thing}/parts/{part}", tell),
            Route("GET", "/v1/things/{thing}", tell),
            Route("GET", "/v1beta/models/{model}:generate", tell),
            Route("POST", "/api/v1/thing", refuse),
            Route("POST", "/api/v1/ai/openai/cc-omg/v1/messages", fail),
            Route("POST", "/api/v1/ai/openai/cc-omg/v1/chat/completions", tell),
            Route("GET", "/api/v1/ai/openai/cc-omg/models", tell),
            Route("GET", "/api/v1/ai/openai/cc-omg/v1/models", tell),
        ],
        CallIds(1),
    )


async def ask(method: str, path: str, **headers: str) -> Answer:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    async with serving(server()) as running:
        client = await running.connect()
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n{lines}\r\n"
        return await client.ask(head.encode())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/v1/chat/completions",
        "/v1/v1/v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions/",
        "//v1//chat/completions//",
        "/openai/v1/chat/completions",
        "/openai/chat/completions",
        "/anthropic/v1/chat/completions",
        "/v1/chat%2Fcompletions",
        "http://elsewhere.example/v1/chat/completions",
        "/v1/chat/completions?beta=true",
    ],
)
async def test_base_urls_are_tolerated_as_clients_write_them(path):
    answer = await ask("POST", path)

    assert (answer.status, answer.body) == (200, b"/v1/chat/completions {}")


@pytest.mark.parametrize(
    "rest",
    [
        "/v1/chat/completions",
        "/v1/v1/chat/completions",
        "/chat/completions/",
        "//v1//chat/completions",
    ],
)
async def test_base_urls_of_a_forwarding_service_are_tolerated_too(rest):
    answer = await ask("POST", f"/api/v1/ai/openai/cc-omg{rest}")

    assert (answer.status, answer.body) == (
        200,
        b"/api/v1/ai/openai/cc-omg/v1/chat/completions {}",
    )


async def test_a_forwarding_service_errs_as_the_vendor_does():
    service = "/api/v1/ai/openai/cc-omg"

    failed = await ask("POST", f"{service}/v1/messages")
    nothing = await ask("POST", f"{service}/v1/responses")
    beside = await ask("POST", f"{service}x/v1/messages")
    base = await ask("GET", service)
    by_header = await ask("GET", f"{service}/nothing", anthropic_version="2023-06-01")

    assert (failed.status, failed.json()["error"]["type"]) == (500, "api_error")
    assert (nothing.status, nothing.json()["error"]["code"]) == (404, "unknown_url")
    assert (beside.status, beside.json()["errorType"]) == (404, "unknown_url_error")
    assert (base.status, base.json()["error"]["code"]) == (404, "unknown_url")
    assert by_header.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/chat/completions",
        "/v1/chat",
        "/completions/chat",
        "/v1",
        "/v1/chat/completions/completion_id/messages",
    ],
)
async def test_other_paths_are_not(path):
    answer = await ask("POST", path)

    assert answer.status == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/models/gpt-4o", "gpt-4o"),
        ("/v1/models/meta-llama/Llama-3/8b", "meta-llama/Llama-3/8b"),
        ("/models/a%2Fb", "a/b"),
        ("/v1/v1/models/x", "x"),
    ],
)
async def test_a_models_id_may_hold_slashes(path, model):
    answer = await ask("GET", path)

    assert answer.body.endswith(str({"model": model}).encode())


async def test_head_is_answered_like_get_without_a_body():
    answer = await ask("HEAD", "/")

    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "4", b"")


async def test_a_wrong_method_is_405_and_names_the_right_ones():
    answer = await ask("POST", "/v1/models")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_each_family_gets_its_own_error_shape():
    openai = await ask("GET", "/v1/nothing")
    by_path = await ask("GET", "/v1/messages/nothing")
    by_header = await ask("GET", "/v1/nothing", anthropic_version="2023-06-01")
    platform = await ask("GET", "/api/v1/nothing")

    assert set(openai.json()["error"]) == {"message", "type", "param", "code"}
    assert by_path.json()["error"]["type"] == "not_found_error"
    assert by_path.json()["request_id"] == by_path.headers["request-id"]
    assert by_header.json()["type"] == "error"
    assert platform.json()["errorType"] == "unknown_url_error"
    assert platform.json()["statusCode"] == 404


async def test_every_reply_carries_its_id_under_both_names():
    answer = await ask("GET", "/health")

    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-request-id"] == answer.headers["request-id"]


async def test_a_failing_handler_is_a_500_that_says_nothing_of_the_inside():
    with capture_logs() as events:
        answer = await ask(
            "POST",
            "/v1/messages",
            authorization=SECRET,
            x_client_request_id="mine",
            traceparent="00",
        )

    assert (answer.status, answer.json()["error"]["type"]) == (500, "api_error")
    assert "inside" not in str(answer.body)
    (event,) = events
    assert (event["event"], event["log_level"]) == ("request.failed", "error")
    assert (event["x_client_request_id"], event["traceparent"]) == ("mine", "00")
    assert event["request_id"] == answer.headers["request-id"]
    assert SECRET not in str(event)


async def test_the_connection_outlives_a_failing_handler():
    async with serving(server()) as running:
        client = await running.connect()
        broken = b"POST /v1/messages HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
        statuses = [(await client.ask(broken)).status for _ in range(3)]

        after = await client.ask(b"GET /health HTTP/1.1\r\n\r\n")

        assert (statuses, after.status) == ([500, 500, 500], 200)


async def test_a_failure_after_the_reply_began_cuts_the_connection():
    async with serving(server()) as running:
        client = await running.connect()
        await client.send(b"POST /v1/cut HTTP/1.1\r\ncontent-length: 0\r\n\r\n")

        said = await client.closed()

        assert said.count(b"HTTP/1.1 ") == 1
        assert not said.endswith(b"0\r\n\r\n")  # the last chunk would say that all is well


async def test_an_error_names_the_json_path_it_is_about():
    answer = await ask("POST", "/v1/messages/count_tokens")

    assert (answer.status, answer.json()["error"]["message"]) == (400, "No.")


async def test_an_unread_announced_body_ends_the_connection():
    answer = await ask("POST", "/v1/messages/count_tokens", expect="100-continue")

    assert answer.headers["connection"] == "close"


async def test_a_browsers_preflight_is_answered():
    answer = await ask(
        "OPTIONS",
        "/v1/chat/completions",
        origin="https://chat.example",
        access_control_request_method="POST",
        access_control_request_headers="authorization,x-stainless-os",
        access_control_request_private_network="true",
    )

    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_may_read_replies_and_errors_others_are_spared_the_headers():
    page = await ask("GET", "/health", origin="https://chat.example")
    refused = await ask("GET", "/v1/nothing", origin="https://chat.example")
    other = await ask("GET", "/health")

    assert page.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in page.headers["access-control-expose-headers"]
    assert refused.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/things/t1/parts", {"thing": "t1"}),
        ("/v1/things/t1/parts/p2", {"thing": "t1", "part": "p2"}),
        ("/v1/things/a/b", {"thing": "a/b"}),
        ("/v1beta/models/x/y:generate", {"model": "x/y"}),
    ],
)
async def test_a_path_with_names_in_it_tells_what_they_stand_for(path, params):
    answer = await ask("GET", path)

    assert answer.body.decode() == f"{path} {params}"


async def test_no_segment_of_a_path_is_empty():
    assert (await ask("GET", "/v1/things//")).status == 404


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/messages", Family.ANTHROPIC),
        ("/v1/messages/count_tokens", Family.ANTHROPIC),
        ("/messages", Family.ANTHROPIC),
        ("/v1/complete", Family.ANTHROPIC),
        ("/v1/completions", Family.OPENAI),
        ("/completions", Family.OPENAI),
        ("/v1/chat/completions", Family.OPENAI),
        ("/v1", Family.OPENAI),
        ("/v1beta/models/m:generateContent", Family.GOOGLE),
        ("/api/v1/ai/openai/cc-omg/v1/messages", Family.ANTHROPIC),
        ("/api/v1/user/redeem", None),
    ],
)
def test_a_path_tells_whose_clients_ask_for_it(path, family):
    assert family_of(path, {}) is family
