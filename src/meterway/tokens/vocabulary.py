"""Reads the tokenizer data shipped in the package."""

import lzma
import struct
from importlib.resources import files
from itertools import accumulate, pairwise


def read(name: str) -> bytes:
    """Return one data file, unpacked."""
    packed = files("meterway.tokens").joinpath("data", f"{name}.xz").read_bytes()
    return lzma.decompress(packed)


def tokens(name: str) -> list[bytes]:
    """Return one packed vocabulary in its stored order: a count, 16-bit lengths, then the bytes."""
    raw = read(name)
    (count,) = struct.unpack_from("<I", raw)
    lengths = struct.unpack_from(f"<{count}H", raw, 4)
    start = 4 + 2 * count
    return [raw[a:b] for a, b in pairwise(accumulate(lengths, initial=start))]
