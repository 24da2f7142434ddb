"""Our Claude engine against golden counts that ctok gave (see scripts/build_tokenizers.py)."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterway.tokens import engines
from meterway.tokens.tiling import Tiling
from meterway.tokens.types import Tokenizer

WIRE = Path(__file__).parent / "wire"
SAMPLES = json.loads((WIRE / "claude_samples.json").read_text(encoding="utf-8"))
COUNTS = json.loads((WIRE / "claude_counts.json").read_text(encoding="utf-8"))
CLAUDE = [Tokenizer.CLAUDE_3, Tokenizer.CLAUDE_4_7, Tokenizer.CLAUDE_4_8]


@pytest.mark.parametrize(("column", "name"), list(enumerate(CLAUDE)))
def test_counts_equal_those_of_the_reference_implementation(column, name):
    expected = [row[column] for row in COUNTS]

    found = [engines.count(name, text) for text in SAMPLES]

    wrong = [row for row in zip(SAMPLES, expected, found, strict=True) if row[1] != row[2]]
    assert len(SAMPLES) > 250
    assert wrong == []


def test_counting_again_from_remembered_runs_gives_the_same():
    text = "It's a café: 'tis NASA\u2019s 2nd try!  (really)\n\n" * 3

    first, second = (engines.count(Tokenizer.CLAUDE_3, text) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("name", CLAUDE)
def test_a_million_spaces_are_counted(name):
    tokens = engines.count(name, " " * 1_000_000 + "x")

    assert 1_000_000 // 128 < tokens < 100_000


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_a_word_more_costs_a_token_more_at_least(text):
    name = Tokenizer.CLAUDE_4_8

    longer = engines.count(name, text.rstrip() + "\nzebra")

    assert longer >= engines.count(name, text.rstrip()) + 1


def brute_force(pieces: set[str], text: str) -> int:
    best = [0]
    for end in range(1, len(text) + 1):
        starts = (s for s in range(end) if end - s == 1 or text[s:end] in pieces)
        best.append(
            min(
                best[s] + (1 if text[s:end] in pieces else len(text[s:end].encode()))
                for s in starts
            )
        )
    return best[-1]


@settings(max_examples=200, deadline=None)
@given(st.sets(st.text("abé", min_size=1, max_size=4), max_size=8), st.text("abé", max_size=24))
def test_tiling_finds_the_cheapest_cover(pieces, text):
    tiling = Tiling(pieces, (), {})

    assert tiling.cost(text) == brute_force(pieces, text)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(1, 6)), st.integers(1, 120))
def test_long_runs_of_one_character_cost_what_the_cheapest_cover_costs(sizes, length):
    pieces = {"é" * size for size in sizes}

    assert Tiling(pieces, (), {}).cost("é" * length) == brute_force(pieces, "é" * length)
