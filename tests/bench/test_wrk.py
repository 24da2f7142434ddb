"""Tests of what the benchmark tells wrk and reads from it."""

import asyncio
import shutil

import pytest

from meterway.bench.client import Address, ask
from meterway.bench.errors import BenchError
from meterway.bench.processes import choose_cores
from meterway.bench.types import Dialect
from meterway.bench.upstream import UpstreamProtocol
from meterway.bench.wrk import find_wrk, parse_output, write_script

OUTPUT = """Running 21s test @ http://127.0.0.1:8000/v1/messages
  1 threads and 64 connections
  8743 requests in 1.00s, 5.42MB read
Requests/sec:   8731.18
Transfer/sec:      5.41MB
meterway-bench {"requests":8743,"micros":1001301,"p50":7213,"p99":9120,"connect":0,"read":0,\
"write":0,"timeout":0,"status":0}
"""


def test_summary_becomes_a_load_in_seconds():
    load = parse_output(OUTPUT)

    assert (load.requests, load.errors, load.complaint) == (8743, 0, "")
    assert load.seconds == pytest.approx(1.001301)
    assert (load.p50, load.p99) == pytest.approx((0.007213, 0.00912))


def test_wrong_statuses_are_errors_and_no_requests():
    load = parse_output(OUTPUT.replace('"status":0', '"status":43'))

    assert (load.requests, load.errors) == (8700, 43)
    assert load.complaint == "43 statuses above 399"


@pytest.mark.parametrize("kind", ["connect", "read", "write", "timeout"])
def test_every_kind_of_socket_error_counts(kind):
    load = parse_output(OUTPUT.replace(f'"{kind}":0', f'"{kind}":2'))

    assert load.errors == 2
    assert load.complaint.startswith("2 ")


def test_output_without_a_summary_is_an_error_that_quotes_it():
    with pytest.raises(BenchError, match="unable to connect"):
        parse_output("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_script_sends_the_body_and_every_header(tmp_path):
    address = Address(8000, prefix="/whole", key="sk-one")

    script = write_script(tmp_path, ask(address, Dialect.ANTHROPIC, b'{"a":"]==]"}')).read_text()

    assert (tmp_path / "wrk-body").read_bytes() == b'{"a":"]==]"}'
    assert str(tmp_path / "wrk-body") in script
    assert 'wrk.headers["x-api-key"] = "sk-one"' in script
    assert 'wrk.headers["anthropic-version"] = "2023-06-01"' in script


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
async def test_wrk_itself_runs_the_script_and_sums_up(tmp_path):
    server = await asyncio.get_running_loop().create_server(UpstreamProtocol, "127.0.0.1", 0)
    address = Address(server.sockets[0].getsockname()[1])
    wrk = find_wrk(tmp_path, choose_cores().load)
    assert wrk is not None

    question = ask(address, Dialect.OPENAI, b"{}")
    load = await wrk.run(address, question, connections=2, seconds=0.3)

    server.close()
    assert load.requests > 0
    assert (load.errors, load.complaint) == (0, "")
