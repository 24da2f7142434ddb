"""The front door: finds who serves a request by exact method and path, before any framework.

Clients disagree on what a base URL is, so a path that is not in the table is looked up once more
without its accidents: doubled versions or slashes, a slash at the end, a missing `/v1`, a vendor's
name in front (`/openai/v1/…`, `/anthropic/v1/…`, `/gemini/v1beta/…`), Google's compatible face
(`/v1beta/openai/…`). Google's methods are the same in `/v1` and `/v1beta`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog

from meterway.edge import forwarding
from meterway.edge.errors import (
    MethodNotAllowedError,
    Rendered,
    UnknownPathError,
    render,
)
from meterway.edge.http import (
    CORS,
    ClientGoneError,
    Handler,
    Receive,
    Request,
    Scope,
    Send,
    begin,
    send_reply,
)
from meterway.kit import metrics
from meterway.kit.errors import MeterwayError
from meterway.kit.ids import CallIds
from meterway.protocols.dialects import Family

_log = structlog.get_logger()
_VENDORS = frozenset({"openai", "anthropic", "gemini"})
_GOOGLE, _GOOGLES_METHODS = "v1beta", (":generateContent", ":streamGenerateContent", ":countTokens")
GOOGLES_CLIENT = b"x-goog-api-client"  # the header in which Google's clients name themselves
_VERSIONS = frozenset({"v1", _GOOGLE})
_ANTHROPICS = ("/messages", "/complete")
_SHOWN_PATH = 200
_DAY = b"86400"
_PREFLIGHT_METHOD = b"access-control-request-method"
_PREFLIGHT_HEADERS = b"access-control-request-headers"
_PREFLIGHT_PRIVATE = b"access-control-request-private-network"


class Route(NamedTuple):
    """One row of the route table.

    `{name}` in a `path` stands for one segment of it, or at its end, before a colon as well, for
    any rest that is not empty, slashes included; the handler finds what it stood for in
    `scope["path_params"]`. Rows that come first are tried first. GET routes answer HEAD too.
    """

    method: str
    path: str
    handler: Handler


class Server:
    """The ASGI application of a worker, over a table of plain ASGI callables.

    An error a handler raises before its reply began is rendered in the dialect of its path.
    """

    def __init__(self, routes: Sequence[Route], ids: CallIds) -> None:
        self.routes = tuple(routes)
        self._ids = ids
        self._exact: dict[tuple[str, str], Handler] = {}
        self._open: list[tuple[re.Pattern[str], str, Handler]] = []
        self._methods: dict[str, set[str]] = {}
        for route in self.routes:
            self._add(route)
        self._families = {path.split("/")[2] for path in self._methods if path.startswith("/v1/")}

    def _add(self, route: Route) -> None:
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        self._methods.setdefault(route.path, set()).update(methods)
        for method in methods:
            if "{" in route.path:
                self._open.append((_pattern(route.path), method, route.handler))
            else:
                self._exact[method, route.path] = route.handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = begin(scope, self._ids.next())
        try:
            handler = self._exact.get((scope["method"], scope["path"])) or self._find(scope)
            await handler(scope, receive, send)
        except ClientGoneError:
            _log.debug("request.abandoned", **request.facts())
        except Exception as error:  # noqa: BLE001 - the last place where a failure can be told
            await tell(error, request, scope, send)
        finally:
            request.release()

    def _find(self, scope: Scope) -> Handler:
        """Find the handler of a path that is not in the table as it stands.

        Raises `UnknownPathError` and `MethodNotAllowedError`.
        """
        method, path = scope["method"], self._canonical(scope["path"])
        scope["path"] = path
        handler = self._exact.get((method, path))
        if handler is not None:
            return handler
        for pattern, served, open_handler in self._open:
            if served == method and (found := pattern.fullmatch(path)):
                scope["path_params"] = found.groupdict()
                return open_handler
        allowed = self._allowed(path)
        if method == "OPTIONS":
            return _preflight(allowed)
        raise _no_such(method, path, allowed)

    def _canonical(self, path: str) -> str:
        parts = [part for part in path.split("/") if part]
        base, rest = forwarding.split("/" + "/".join(parts))
        if base:
            parts = rest.split("/")[1:]
        if len(parts) > 1 and parts[0] in _VENDORS:
            del parts[0]
        while len(parts) > 1 and parts[0] in _VERSIONS and parts[1] in _VERSIONS:
            del parts[0]
        if parts[:2] == [_GOOGLE, "openai"]:
            parts[:2] = ["v1"]
        if parts and parts[0] in self._families:
            parts.insert(0, "v1")
        if parts[:2] == ["v1", "models"] and parts[-1].endswith(_GOOGLES_METHODS):
            parts[0] = _GOOGLE
        return f"{base}/{'/'.join(parts)}"

    def _allowed(self, path: str) -> tuple[str, ...]:
        methods = set(self._methods.get(path, ()))
        methods.update(served for pattern, served, _ in self._open if pattern.fullmatch(path))
        return tuple(sorted(methods))


def _pattern(path: str) -> re.Pattern[str]:
    """Return what matches the paths of a row."""
    fixed = re.split(r"\{(\w+)\}", path)
    text = re.escape(fixed[0])
    for name, after in zip(fixed[1::2], fixed[2::2], strict=True):
        whole = not after or after.startswith(":")
        text += f"(?P<{name}>{'.+' if whole else '[^/]+'}){re.escape(after)}"
    return re.compile(text, re.DOTALL)


def family_of(path: str, headers: Mapping[bytes, bytes]) -> Family | None:
    """Return whose clients ask for `path`, None being the platform's own API."""
    service, path = forwarding.split(path)
    if not service and path.startswith("/api/"):
        return None
    if path.startswith("/v1beta/") or GOOGLES_CLIENT in headers:
        return Family.GOOGLE
    if b"anthropic-version" in headers or path.removeprefix("/v1").startswith(_ANTHROPICS):
        return Family.ANTHROPIC
    return Family.OPENAI


async def tell(error: Exception, request: Request, scope: Scope, send: Send) -> None:
    """Answer with `error` where no answer has begun; else raise it, so the connection is cut."""
    rendered = refuse(error, request, scope["path"])
    headers = [*request.head, *rendered.headers]
    if b"expect" in request.headers:
        headers.append((b"connection", b"close"))  # whether a body follows is the client's guess
    try:
        await send_reply(send, rendered.status, headers, rendered.body)
    except RuntimeError:  # what ASGI servers raise where a reply has begun
        raise error from None


def refuse(error: Exception, request: Request, path: str) -> Rendered:
    """Render `error` in the dialect of `path`, count it, and log it."""
    rendered = render(error, family_of(path, request.headers), request.request_id)
    known = isinstance(error, MeterwayError)
    # The class's own code: an upstream's error may carry any its vendor chose.
    code = type(error).code if isinstance(error, MeterwayError) else "internal_error"
    metrics.REFUSALS.labels(rendered.status, code).inc()
    event = {"status": rendered.status, "code": code, "path": path[:_SHOWN_PATH]}
    if known:
        _log.info("request.refused", **event, **request.facts())
    else:
        _log.error("request.failed", **event, **request.facts(), exc_info=error)
    return rendered


def _no_such(method: str, path: str, allowed: tuple[str, ...]) -> MeterwayError:
    shown = f"{method} {path[:_SHOWN_PATH]}"
    if allowed:
        message = f"Method not allowed: {shown}. Allowed here: {', '.join(allowed)}."
        return MethodNotAllowedError(message, allowed)
    return UnknownPathError(f"Unknown URL: {shown}. /docs lists what is served here.")


def _preflight(allowed: tuple[str, ...]) -> Handler:
    """Answer OPTIONS: what is allowed here, and to a browser's preflight, yes.

    No route takes a cookie; a page can call them only with a key it was given, so any origin may.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        reply = [(b"allow", ", ".join((*allowed, "OPTIONS")).encode())]
        if _PREFLIGHT_METHOD in headers:
            reply += [
                CORS[0],
                (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
                (b"access-control-allow-headers", headers.get(_PREFLIGHT_HEADERS, b"*")),
                (b"access-control-max-age", _DAY),
                (b"vary", b"access-control-request-headers"),
            ]
        if _PREFLIGHT_PRIVATE in headers:
            reply.append((b"access-control-allow-private-network", b"true"))
        await send({"type": "http.response.start", "status": 204, "headers": reply})
        await send({"type": "http.response.body", "body": b""})

    return answer
