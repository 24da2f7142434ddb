"""Lines collected and written together."""

import io

from meterway.kit.lines import Lines


async def test_lines_are_written_in_order_and_whole():
    out = io.BytesIO()
    lines = Lines(out)

    lines.add(b"one")
    lines.add(b"two")
    assert out.getvalue() == b""
    lines.flush()

    assert out.getvalue() == b"one\ntwo\n"


async def test_a_flood_is_written_before_the_moment_is_over():
    out = io.BytesIO()
    lines = Lines(out)

    for number in range(1000):
        lines.add(b"%d" % number)

    assert out.getvalue().count(b"\n") >= 744


async def test_flushing_nothing_writes_nothing():
    out = io.BytesIO()

    Lines(out).flush()

    assert out.getvalue() == b""
