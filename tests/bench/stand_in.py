"""A stand-in for the `meterway` command: its arguments, with the benchmark's upstream inside."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from meterway.bench.upstream import UpstreamProtocol


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await loop.create_server(UpstreamProtocol, "127.0.0.1", port)
    await ended.wait()


def value(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def main() -> None:
    data = Path(value("--data"))
    match sys.argv[1]:
        case "init":
            data.mkdir()
            sys.stdout.write(json.dumps({"base_url": "http://127.0.0.1:1", "key": "sk-stand-in"}))
        case "channel":
            with (data / "channels").open("a") as sink:
                sink.write(f"{value('--provider')} {value('--base-url')} {value('--models')}\n")
        case "price" | "user" | "key":
            with (data / "commands").open("a") as sink:
                sink.write(" ".join(sys.argv[1 : sys.argv.index("--data")]) + "\n")
            sys.stdout.write(json.dumps({"key": "sk-customer"}))
        case "serve":
            me = [sys.executable, __file__]
            port = ["--data", str(data), "--port", value("--port")]
            children = [subprocess.Popen([*me, role, *port]) for role in ("worker", "counter")]

            def end(*_: object) -> None:
                for child in children:
                    child.terminate()

            signal.signal(signal.SIGTERM, end)
            for child in children:
                child.wait()
        case "worker":
            asyncio.run(serve(int(value("--port"))))
        case "counter":
            signal.pause()


if __name__ == "__main__":
    main()
