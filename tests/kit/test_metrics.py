"""Figures of several processes, summed, and kept when one dies and is replaced."""

import os
import subprocess
import sys
from pathlib import Path

CHILD = """
import os, sys
from meterway.kit import metrics
metrics.name_process(sys.argv[1])
metrics.REFUSALS.labels(429, "busy").inc()
metrics.OPEN_REQUESTS.set(5)
os.kill(os.getpid(), 9)
"""
READER = "from meterway.kit import metrics; print(metrics.exposition().decode())"


def run(folder: Path, *arguments: str) -> str:
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", *arguments]
    return subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, text=True, check=False
    ).stdout


def test_killed_processes_leave_their_counts_and_successors_add_to_them(tmp_path):
    for name in ("worker-0", "worker-1", "worker-0"):
        run(tmp_path, CHILD, name)

    figures = run(tmp_path, READER)

    assert 'meterway_refusals_total{code="busy",status="429"} 3.0' in figures


def test_a_dead_processs_gauges_are_forgotten_its_counts_are_not(tmp_path):
    forget = "import sys, pathlib; from meterway.kit import metrics; "
    forget += "metrics.forget_gauges(pathlib.Path(sys.argv[1]), 'worker-0')"
    run(tmp_path, CHILD, "worker-0")
    run(tmp_path, CHILD, "worker-1")

    before = run(tmp_path, READER)
    run(tmp_path, forget, str(tmp_path))
    after = run(tmp_path, READER)

    assert "meterway_open_requests 10.0" in before
    assert "meterway_open_requests 5.0" in after
    assert 'status="429"} 2.0' in after
