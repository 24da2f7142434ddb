"""Runs the benchmark: `python -m meterway.bench`."""

from meterway.bench.command import bench_command

if __name__ == "__main__":
    bench_command()
