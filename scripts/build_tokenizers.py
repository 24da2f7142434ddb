"""Development-time script that extracts the tokenizer data shipped in `meterway.tokens.data`.

It downloads two wheels from the package index pip is configured for, checks every file it reads
against a known digest, and writes each vocabulary as xz of a compact list (see `pack`):

- litellm (MIT): the rank files of OpenAI's o200k and cl100k encodings (tiktoken, MIT).
- ctok (MIT): the vocabularies of Claude's tokenizers and, by running it, the character classes its
  rules rest on and golden counts for the tests.

Running ctok needs Python 3.12 or later with that wheel installed; name it with `--reference`.
`--verify` writes nothing and fails when what is stored differs from what would be written.
"""

import argparse
import base64
import hashlib
import json
import lzma
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "src" / "meterway" / "tokens" / "data"
VECTORS = ROOT / "tests" / "tokens" / "wire" / "claude_counts.json"
SAMPLES = ROOT / "tests" / "tokens" / "wire" / "claude_samples.json"

LITELLM, CTOK = "litellm==1.109.1", "ctok==1.3.0"
RANKS = {
    "o200k": (
        "litellm/litellm_core_utils/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k": (
        "litellm/litellm_core_utils/tokenizers/9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}
PIECES = {
    "claude3": (
        "ctok/data/pieces_v3.json",
        "4c6db216062ef01e70ba033ff52ad3b97f886e79877235f2c7bbbd40d09ffb9b",
    ),
    "claude47": (
        "ctok/data/pieces_v4_7.json",
        "a785fc240010c855f3d9a498fbd422ee389752dd151f1d5eef57ca8c85c19993",
    ),
}
MARKERS = {"⟨bow⟩": "\ufdd0", "⟨eow⟩": "\ufdd1", "⟨shift⟩": "\ufdd3", "⟨caps⟩": "\ufdd4"}

CLASSES_PROGRAM = r"""
import sys, unicodedata
from ctok.constants import DIGIT, HARD, PUNCT, SPACE, WORDY
from ctok.normalize import _digit_border, _hard_kind, _is_selector, _stray_mark, classify

def letter(c):
    kind = classify(c)
    if kind == WORDY:
        return "m" if _stray_mark(c) else "w"
    if kind == DIGIT:
        return "D" if _digit_border(c) else "d"
    if kind != HARD:
        return {PUNCT: "p", SPACE: "s"}[kind]
    if _is_selector(c):
        return "v"
    if _hard_kind(c) == "number":
        return "n" if unicodedata.category(c) == "Nd" else "N"
    return {"punct": "q", "letter": "l"}[_hard_kind(c)]

sys.stdout.write("".join(letter(chr(o)) for o in range(0x10000)))
"""
COUNTS_PROGRAM = r"""
import json, sys
from ctok.main import _family, _model
from ctok import token_count

overhead = {v: _model(_family(v)).message_overhead for v in ("3.0", "4.7", "4.8")}
counts = [[token_count(t, v) - n for v, n in overhead.items()] for t in json.load(sys.stdin)]
json.dump(counts, sys.stdout)
"""


def pack(tokens: Iterable[bytes]) -> bytes:
    """Xz of the number of tokens, their lengths in bytes (all little-endian) and their bytes."""
    tokens = list(tokens)
    head = struct.pack("<I", len(tokens)) + struct.pack(f"<{len(tokens)}H", *map(len, tokens))
    return lzma.compress(head + b"".join(tokens), preset=9 | lzma.PRESET_EXTREME)


def ranks(raw: bytes) -> list[bytes]:
    """Tokens in rank order from a rank file: one base64 token and its rank a line."""
    rows = (line.split() for line in raw.splitlines() if line)
    tokens = {int(rank): base64.b64decode(token) for token, rank in rows}
    return [tokens[rank] for rank in range(len(tokens))]


def marked(piece: str) -> str:
    """One vocabulary piece with its markers and escaped bytes as the characters they stand for."""
    for name, glyph in MARKERS.items():
        piece = piece.replace(name, glyph)
    while "⟨0x" in piece:
        start = piece.index("⟨0x")
        end, escaped = start, b""
        while piece.startswith("⟨0x", end):
            escaped += bytes.fromhex(piece[end + 3 : end + 5])
            end += 6
        piece = piece[:start] + escaped.decode() + piece[end:]
    return piece


def claude_vocabulary(raw: bytes) -> tuple[list[bytes], list[bytes]]:
    """Whole pieces and byte prefixes of one Claude vocabulary, each in sorted order."""
    groups: Mapping[str, Mapping[str, object]] = json.loads(raw)["tokens"]
    pieces = {
        marked(p) for name, group in groups.items() if name != "bytes_fallback" for p in group
    }
    pieces |= {marked(p) + MARKERS["⟨eow⟩"] for p in groups["contractions"]}
    prefixes = (bytes.fromhex(p) for p in groups["bytes_fallback"])
    return sorted(p.encode() for p in pieces), sorted(prefixes)


def member(wheels: Path, wheel: str, name: str, digest: str) -> bytes:
    """One file of a downloaded wheel; stops the script when its digest is not the known one."""
    path = next(wheels.glob(f"{wheel}-*.whl"))
    with zipfile.ZipFile(path) as archive:
        raw = archive.read(name)
    if (found := hashlib.sha256(raw).hexdigest()) != digest:
        sys.exit(f"{name}: sha256 is {found}, expected {digest}")
    return raw


def download(into: Path) -> None:
    """Fetch both wheels without their dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--python-version", "3.12", "--only-binary=:all:", "--dest", str(into)]
    subprocess.run([*command, LITELLM, CTOK], check=True)  # noqa: S603  constant arguments


def reference(python: str, program: str, stdin: str = "") -> str:
    """What a program prints when the interpreter that has ctok runs it."""
    command = [python, "-X", "utf8", "-c", program]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)  # noqa: S603  our own program
    return done.stdout


def build(wheels: Path, python: str) -> dict[Path, bytes]:
    """Every file this script owns, with its content."""
    files = {}
    for name, (path, digest) in RANKS.items():
        files[DATA / f"{name}.xz"] = pack(ranks(member(wheels, "litellm", path, digest)))
    for name, (path, digest) in PIECES.items():
        pieces, prefixes = claude_vocabulary(member(wheels, "ctok", path, digest))
        files[DATA / f"{name}.xz"] = pack(pieces)
        files[DATA / f"{name}-bytes.xz"] = pack(prefixes)
    files[DATA / "classes.xz"] = lzma.compress(reference(python, CLASSES_PROGRAM).encode())
    samples = SAMPLES.read_text(encoding="utf-8")
    counts = reference(python, COUNTS_PROGRAM, samples)
    files[VECTORS] = counts.replace("], [", "],\n[").encode() + b"\n"
    return files


def main() -> None:
    """Write the data, or with --verify compare it with what is stored."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, help="a Python >= 3.12 that can import ctok")
    parser.add_argument("--verify", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        download(Path(folder))
        files = build(Path(folder), options.reference)
    for path, content in files.items():
        if not options.verify:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            sys.exit(f"{path.relative_to(ROOT)} differs: build it again")
        print(f"{path.relative_to(ROOT)}: {len(content)} bytes")


if __name__ == "__main__":
    main()
