"""wrk (https://github.com/wg/wrk), the load generator for whole replies where it is installed."""

import asyncio
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import msgspec

from meterway.bench import processes
from meterway.bench.client import Address, Ask
from meterway.bench.errors import BenchError
from meterway.bench.types import Load

_PREFIX = "meterway-bench "

_SCRIPT = """
wrk.method = "POST"
local file = io.open([==[{body}]==], "rb")
wrk.body = file:read("*a")
file:close()
{headers}
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{prefix}{{"requests":%d,"micros":%d,"p50":%d,"p99":%d,' ..
    '"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
"""


_GRACE_SECONDS = 20


class _Summary(msgspec.Struct):
    requests: int
    micros: int
    p50: int
    p99: int
    connect: int
    read: int
    write: int
    timeout: int
    status: int


@dataclass(frozen=True, slots=True)
class Wrk:
    """The program, where its files go, and the cores it may use."""

    program: str
    folder: Path
    cores: frozenset[int]

    async def run(self, address: Address, ask: Ask, *, connections: int, seconds: float) -> Load:
        """Put a closed loop of one request on `address` for `seconds`.

        wrk itself knows whole seconds only, so it is given more and interrupted, which it takes as
        its end.

        Raises:
            BenchError: wrk failed, or did not end in time.
        """
        how = (
            "-t1",
            f"-c{connections}",
            f"-d{round(seconds) + _GRACE_SECONDS}s",
            "--timeout",
            "10s",
        )
        script = str(write_script(self.folder, ask))
        process = await processes.start(
            [self.program, *how, "-s", script, address.origin + ask.path],
            self.cores,
            log=self.folder / "wrk.log",
            answers=True,
        )
        try:
            await asyncio.sleep(seconds)
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            output, _ = await asyncio.wait_for(process.communicate(), _GRACE_SECONDS)
        except TimeoutError as error:
            raise BenchError(f"wrk did not end {_GRACE_SECONDS} s after its time") from error
        finally:
            await processes.stop(process)
        return parse_output(output.decode(errors="replace"))


def find_wrk(folder: Path, cores: frozenset[int]) -> Wrk | None:
    """Return wrk when it is installed."""
    program = shutil.which("wrk")
    return None if program is None else Wrk(program, folder, cores)


def write_script(folder: Path, ask: Ask) -> Path:
    """Write the Lua script that sends `ask` and prints a summary as one line of JSON."""
    body = folder / "wrk-body"
    body.write_bytes(ask.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in ask.headers)
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT.format(body=body, headers=headers, prefix=_PREFIX))
    return script


def parse_output(output: str) -> Load:
    """Return the load that our script summed up in the last line of wrk's output.

    Raises:
        BenchError: There is no such line.
    """
    lines = [line for line in output.splitlines() if line.startswith(_PREFIX)]
    if not lines:
        raise BenchError(f"wrk printed no summary: {output.strip()[-300:]}")
    summary = msgspec.json.decode(lines[-1].removeprefix(_PREFIX), type=_Summary)
    failures = {
        "connections refused": summary.connect,
        "broken reads": summary.read,
        "broken writes": summary.write,
        "timeouts": summary.timeout,
        "statuses above 399": summary.status,
    }
    return Load(
        requests=max(0, summary.requests - summary.status),
        errors=sum(failures.values()),
        seconds=summary.micros / 1e6,
        p50=summary.p50 / 1e6,
        p99=summary.p99 / 1e6,
        complaint=", ".join(f"{count} {name}" for name, count in failures.items() if count),
    )
