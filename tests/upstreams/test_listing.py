"""Names in lists of models, and what is no such list."""

import pytest

from meterway.upstreams import listing

ENGINES = {
    "ollama": b'{"object":"list","data":[{"id":"a:latest","object":"model","created":1,'
    b'"owned_by":"library"},{"id":"ns/b:7b","object":"model"}]}',
    "llama.cpp": b'{"models":[{"name":"x"}],"object":"list","data":[{"id":"a:latest",'
    b'"object":"model","meta":{"n_ctx":1}},{"id":"ns/b:7b","object":"model"}]}',
    "lmstudio": b'{"data":[{"id":"a:latest","object":"model"},{"id":"ns/b:7b","object":"model"}],'
    b'"object":"list"}',
}


@pytest.mark.parametrize("body", ENGINES.values(), ids=ENGINES)
def test_engines_list_their_models_in_openais_form(body):
    assert listing.engine_names(body) == ("a:latest", "ns/b:7b")


@pytest.mark.parametrize("data", [b"[]", b"null"])
def test_an_engine_may_have_no_models(data):
    assert listing.engine_names(b'{"object":"list","data":%s}' % data) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works!</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"object":"list"}',
        b'{"object":"list","data":{}}',
        b'{"object":"list","data":["a"]}',
        b'{"object":"list","data":[{"object":"model"}]}',
        b'{"object":"list","data":[{"id":7,"object":"model"}]}',
        b'{"object":"list","data":[{"id":"a","object":"file"}]}',
        b'{"object":"list","data":[{"id":"a","object":"model"},{"id":"b"}]}',
        b'{"object":"page","data":[{"id":"a","object":"model"}]}',
        b'{"data":[{"id":"a","object":"model"}]}',
        b'{"object":"list","data":[{"id":"","object":"model"}]}',
        b'{"object":"list","data":[{"id":" a","object":"model"}]}',
        b'{"object":"list","data":[{"id":"a\\n","object":"model"}]}',
        b'{"object":"list","data":[{"id":"%s","object":"model"}]}' % (b"a" * 257),
        b'{"error":{"message":"Missing API key"}}',
        b'{"object":"list","data":[{"id":"a","object":"model"}]',
        b'{"object":"list","data":' + b"[" * 5000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"object":"list","data":[]}',
        b'{"object":"list","data":[{"id":"\xff","object":"model"}]}',
    ],
)
def test_anything_else_is_no_engine(body):
    assert listing.engine_names(body) is None


def test_a_vendors_list_is_read_in_anthropics_form_too():
    body = b'{"data":[{"type":"model","id":"claude-x","display_name":"X"}],"has_more":false}'

    assert listing.names(body) == ("claude-x",)
    assert listing.names(b'{"error":{}}') is None


def test_google_lists_what_generates_content_under_its_own_prefix():
    body = (
        b'{"models":[{"name":"models/gemini-2.5-flash","supportedGenerationMethods":'
        b'["generateContent","countTokens"]},{"name":"models/embed","supportedGenerationMethods":'
        b'["embedContent"]},{"name":"bare"}]}'
    )

    assert listing.names(body) == ("gemini-2.5-flash", "bare")
    assert listing.engine_names(body) is None
