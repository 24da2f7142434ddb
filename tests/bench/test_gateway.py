"""Tests of starting, reading and ending a gateway, with a stand-in for the command."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from meterway.bench import payloads, processes
from meterway.bench.client import ask
from meterway.bench.errors import BenchError
from meterway.bench.gateway import Gateway
from meterway.bench.stage import free_port
from meterway.bench.types import Dialect, Size

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def gateway_in(folder: Path, command: tuple[str, ...] = STAND_IN) -> Gateway:
    cores = processes.choose_cores()
    authority = folder / "authority.pem"
    return Gateway(folder, free_port(), cores.measured, cores.load, authority, command=command)


async def test_a_gateway_is_created_led_to_an_upstream_started_and_ended(tmp_path):
    gateway = gateway_in(tmp_path)
    body = payloads.request_body(Dialect.OPENAI, "m", Size.SMALL)

    await gateway.init()
    await gateway.add_channel("openai-compatible", "up", "http://127.0.0.1:1/v1", ["m", "n"])
    seconds = await gateway.start(ask(gateway.address, Dialect.OPENAI, body))
    family = gateway.family()
    await gateway.stop()

    pids = [*family.workers, *family.aside.values()]
    assert gateway.key == "sk-stand-in"
    channels = (tmp_path / "data" / "channels").read_text()
    assert channels == "openai-compatible http://127.0.0.1:1/v1 m,n\n"
    assert seconds > 0
    assert len(family.workers) == 1
    assert set(family.aside) == {"parent", "counter"}
    assert [pid for pid in pids if processes.command_line(pid)] == []


async def test_a_command_that_fails_is_quoted(tmp_path):
    gateway = gateway_in(tmp_path, (sys.executable, "-c", "raise SystemExit('no disk left')"))

    with pytest.raises(BenchError, match=r"`meterway init` failed.*no disk left"):
        await gateway.init()


async def test_an_init_without_a_key_is_an_error(tmp_path):
    gateway = gateway_in(tmp_path, (sys.executable, "-c", "print('hello')"))

    with pytest.raises(BenchError, match="printed no key"):
        await gateway.init()


async def test_a_gateway_that_ends_at_once_is_an_error_with_its_log(tmp_path):
    gateway = gateway_in(tmp_path, (sys.executable, "-c", "raise SystemExit('port taken')"))

    with pytest.raises(BenchError, match="port taken"):
        await gateway.start(ask(gateway.address, Dialect.OPENAI, b"{}"))


async def test_a_customer_is_made_with_money_and_a_key_of_its_own(tmp_path):
    gateway = gateway_in(tmp_path)
    await gateway.init()

    await gateway.set_price("m", read="2", written="10")
    key = await gateway.add_customer("a@b.example", "12")

    told = (tmp_path / "data" / "commands").read_text().splitlines()
    assert told == [
        "price set m --input 2 --output 10",
        "user create --email a@b.example",
        "user grant a@b.example 12",
        "key create --user a@b.example",
    ]
    assert key == "sk-customer"
    assert gateway.key == "sk-stand-in"


def test_a_gateway_does_not_bill_unless_its_settings_say_so(tmp_path):
    relaying = gateway_in(tmp_path)
    billing = replace(relaying, settings={"METERWAY_LIMITS": "{}"})

    assert relaying._environment()["METERWAY_BILLING"] == "false"
    assert "METERWAY_BILLING" not in billing._environment()
    assert billing._environment()["METERWAY_LIMITS"] == "{}"


def test_family_of_a_gateway_that_does_not_run_is_an_error(tmp_path):
    with pytest.raises(BenchError, match="has ended"):
        gateway_in(tmp_path).family()


def test_foreign_settings_and_credentials_do_not_reach_it(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "METERWAY_DATA", "HTTPS_PROXY", "no_proxy", "PORT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HOME_OF_MINE", "kept")

    environment = gateway_in(tmp_path)._environment()

    assert not {"OPENAI_API_KEY", "METERWAY_DATA", "HTTPS_PROXY", "no_proxy", "PORT"} & set(
        environment
    )
    assert environment["HOME_OF_MINE"] == "kept"
    assert environment["SSL_CERT_FILE"] == str(tmp_path / "authority.pem")


async def test_cancelling_leaves_no_process_behind(tmp_path):
    gateway = gateway_in(tmp_path)
    await gateway.init()
    running = asyncio.Event()
    body = payloads.request_body(Dialect.OPENAI, "m", Size.SMALL)

    async def bench() -> None:
        try:
            await gateway.start(ask(gateway.address, Dialect.OPENAI, body))
            running.set()
            await asyncio.Event().wait()
        finally:
            await gateway.stop()

    task = asyncio.create_task(bench())
    await running.wait()
    family = gateway.family()
    task.cancel()
    await asyncio.wait([task])

    assert [
        pid for pid in (*family.workers, *family.aside.values()) if processes.command_line(pid)
    ] == []
