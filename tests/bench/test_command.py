"""Tests of a whole run, with a stand-in for the gateway, and of what it leaves behind."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from meterway.bench import command, processes
from meterway.bench.client import once
from meterway.bench.command import NAMES, bench_command, chosen_scenarios, chosen_sections, run
from meterway.bench.errors import BenchError
from meterway.bench.measure import SCENARIOS, clock_of, turn
from meterway.bench.payloads import whole_reply
from meterway.bench.sections import STREAM
from meterway.bench.stage import Stage, model_of, set_up
from meterway.bench.types import BenchOptions, Subject

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def test_a_run_measures_what_was_asked_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    options = BenchOptions(
        quick=True,
        only=("openai",),
        seconds=0.1,
        json_file=tmp_path / "report.json",
        command=STAND_IN,
    )
    affinity = os.sched_getaffinity(0)

    report = run(options)

    assert [result.scenario.name for result in report.results] == list(options.only)
    turns = [one for taken in report.results[0].turns.values() for one in taken]
    assert all(one.load.requests > 0 and one.load.errors == 0 for one in turns)
    assert {row.section for row in report.rows} == {"start", "whole", "memory"}
    assert report.valid
    assert json.loads((tmp_path / "report.json").read_bytes())["valid"] is True
    assert list((tmp_path / "temporary").iterdir()) == []
    assert processes.descendants(os.getpid()).keys() <= {os.getpid()}
    assert os.sched_getaffinity(0) == affinity


async def test_a_cancelled_run_ends_every_process_and_removes_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reached = asyncio.Event()

    def say(what: str) -> None:
        if what == "openai":
            reached.set()

    options = BenchOptions(quick=True, only=("openai",), seconds=60, command=STAND_IN)
    task = asyncio.create_task(command._bench(options, say))
    await reached.wait()
    family = processes.descendants(os.getpid())
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert len(family) > 3
    assert [pid for pid in family if pid != os.getpid() and processes.command_line(pid)] == []
    assert list(tmp_path.iterdir()) == []


async def test_every_upstream_sends_the_whole_replies_as_they_are_meant(tmp_path):
    async with set_up(tmp_path, STAND_IN) as stage:
        for scenario in SCENARIOS:
            if scenario.stream or scenario.tls:
                continue
            for subject in set(stage.subjects) - {Subject.OURS}:
                question = stage.question(subject, scenario).rendered()
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", stage.address(subject, scenario).port
                )
                writer.write(question)
                head = await reader.readuntil(b"\r\n\r\n")
                expected = whole_reply(scenario.client, scenario.reply)
                body = await reader.readexactly(len(expected))
                writer.close()
                await writer.wait_closed()

                assert head.startswith(b"HTTP/1.1 200")
                assert body == expected


async def test_each_subject_is_asked_with_the_same_body_where_it_listens_and_answers(tmp_path):
    async with set_up(tmp_path, STAND_IN) as stage:
        for scenario in SCENARIOS:
            asked = {subject: stage.question(subject, scenario) for subject in stage.subjects}

            assert len({question.body for question in asked.values()}) == 1
            assert stage.address(Subject.OURS, scenario) == stage.gateway.address
            tls = stage.address(Subject.DIRECT, scenario).tls
            assert (tls is not None) is scenario.tls
            for subject in asked.keys() - {Subject.OURS}:
                address = stage.address(subject, scenario)
                brief = stage.question(subject, scenario, pace="brief")
                assert (await once(address, brief)).complaint == ""
        _check_clocks(stage)
        taken = await turn(stage, SCENARIOS[0], stage.subjects[0], 0.3)
        streamed = await turn(stage, STREAM, Subject.DIRECT, 0.1)

    assert taken.load.requests > 0
    assert (taken.load.errors, taken.load.complaint) == (0, "")
    assert taken.cpu > 0
    assert (streamed.load.tokens, streamed.load.errors) == (6_400, 0)


def _check_clocks(stage: Stage) -> None:
    whole, stream = SCENARIOS[0], next(scenario for scenario in SCENARIOS if scenario.stream)

    direct = clock_of(stage, stream, Subject.DIRECT).pids
    assert "bench.upstream" in processes.command_line(direct[0])
    if stage.proxy is not None:
        assert clock_of(stage, whole, Subject.NGINX).pids == (stage.proxy[1],)
        assert clock_of(stage, whole, Subject.DIRECT).pids != direct


def test_scenarios_of_one_upstream_share_a_model():
    models = {scenario.name: model_of(scenario) for scenario in SCENARIOS}

    assert models["openai"] == models["anthropic-to-openai"] == models["openai-100k"]
    assert models["openai-tls"] == "bench-openai-whole-tls"
    assert models["openai-reply-100k"] == "bench-openai-whole-large"
    assert len({models["openai"], models["anthropic"], models["openai-stream"]}) == 3


def test_names_are_unique_and_select():
    options = BenchOptions(only=("openai-tls", "soak"))

    assert len(set(NAMES)) == len(NAMES)
    assert [scenario.name for scenario in chosen_scenarios(options)] == ["openai-tls"]
    assert chosen_sections(options) == ("soak",)


def test_everything_but_the_soak_runs_by_default():
    assert chosen_scenarios(BenchOptions()) == SCENARIOS
    assert chosen_sections(BenchOptions()) == (
        "latency",
        "open-streams",
        "count-tokens",
        "responses",
        "money",
        "ledger",
    )


def test_quick_leaves_the_million_rows_out_unless_they_are_named():
    assert "ledger" not in chosen_sections(BenchOptions(quick=True))
    assert chosen_sections(BenchOptions(quick=True, only=("ledger",))) == ("ledger",)


def test_quick_keeps_one_of_each_kind():
    kept = chosen_scenarios(BenchOptions(quick=True))

    assert {(scenario.stream, scenario.translated) for scenario in kept} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }
    assert len(kept) < len(SCENARIOS)


def test_an_unknown_name_is_refused_before_anything_starts():
    with pytest.raises(BenchError, match="nothing is called nonsense"):
        run(BenchOptions(only=("nonsense",)))


def test_the_command_says_what_is_wrong():
    outcome = CliRunner().invoke(bench_command, ["--only", "nonsense"])

    assert outcome.exit_code == 1
    assert "nothing is called nonsense" in outcome.output


def test_a_gateway_that_cannot_be_created_fails_the_run():
    options = BenchOptions(only=("openai",), command=(sys.executable, "-c", "raise SystemExit(3)"))

    with pytest.raises(BenchError, match="failed \\(3\\)"):
        run(options)
