"""OpenAI's encodings from packaged data."""

from itertools import pairwise
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from meterway.tokens import bpe, engines, vocabulary
from meterway.tokens.types import Tokenizer

BOTH = [Tokenizer.O200K, Tokenizer.CL100K]


def whole(name: Tokenizer, text: str) -> int:
    """The count of the text encoded at once."""
    engine = engines.engine(name)
    assert isinstance(engine, bpe.BpeEngine)
    return len(engine._encode(text))


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        (Tokenizer.CL100K, "tiktoken is great!", 6),
        (Tokenizer.CL100K, "antidisestablishmentarianism", 6),
        (Tokenizer.CL100K, "お誕生日おめでとう", 9),
        (Tokenizer.O200K, "お誕生日おめでとう", 8),
        (Tokenizer.O200K, "Say test", 2),
    ],
)
def test_published_examples_count_as_published(name, text, tokens):
    assert engines.count(name, text) == tokens


@pytest.mark.parametrize("name", BOTH)
def test_vocabularies_are_whole(name):
    expected = {Tokenizer.O200K: 199_998, Tokenizer.CL100K: 100_256}[name]

    assert len(set(vocabulary.tokens(name))) == expected


@pytest.mark.parametrize("name", BOTH)
def test_special_tokens_in_text_are_plain_text(name):
    assert engines.count(name, "<|endoftext|>") > 1


@pytest.mark.parametrize("name", BOTH)
def test_a_million_spaces_are_counted_where_the_library_would_panic(name):
    assert engines.count(name, " " * 1_000_000) > 1_000


def test_a_lone_surrogate_is_counted():
    assert engines.count(Tokenizer.O200K, "a\ud800b") > 2


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("abZ \n\r\t/.'(é1字\u0301\u3000"), max_size=30))
def test_no_token_crosses_a_seam(name, text):
    seams = [0, *(found.start() for found in bpe._SEAM.finditer(text)), len(text)]

    parts = [whole(name, text[a:b]) for a, b in pairwise(seams)]

    assert sum(parts) == whole(name, text)


@pytest.mark.parametrize("name", BOTH)
def test_cutting_long_text_changes_nothing_where_seams_exist(name):
    text = Path(bpe.__file__).read_text(encoding="utf-8") * 30

    found = engines.count(name, text)

    assert len(text) > 50_000
    assert found == whole(name, text)


def test_the_engine_needs_no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("downloads")

    monkeypatch.setattr(tiktoken, "get_encoding", refuse)

    assert list(bpe.BpeEngine(Tokenizer.CL100K).steps("a")) == [None]
