"""`/docs`: a page that explains the API from its description; everything on it is ours.

Its own words are in English, Chinese and Japanese; the description's are in English.
"""

from importlib.resources import files

from meterway.edge.http import Handler, Headers, Receive, Scope, Send, request_of, send_reply

_FOLDER = files("meterway.edge.platform") / "page"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE: Headers = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
ASSETS = {
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", b"text/css; charset=utf-8"),
    "/docs/texts.json": ("texts.json", b"application/json"),
}


def asset(path: str) -> Handler:
    """Return the handler of one of `ASSETS`; the file is read at each request, which are few."""
    name, kind = ASSETS[path]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        headers = [*request_of(scope).head, (b"content-type", kind), *_SAFE]
        await send_reply(send, 200, headers, (_FOLDER / name).read_bytes())

    return answer
