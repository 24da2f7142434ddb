"""Tests of the nginx configurations the benchmark writes."""

import subprocess
from pathlib import Path

import pytest

from meterway.bench import nginx
from meterway.bench.certificate import Certificate, make_certificate
from meterway.bench.nginx import Backend

PROGRAM = nginx.find_nginx()
BACKENDS = {
    "whole": Backend(9001),
    "whole_tls": Backend(9002, tls=True),
    "stream": Backend(9003, stream=True),
    "stream_tls": Backend(9004, tls=True, stream=True),
}


@pytest.fixture
def certificate(tmp_path) -> Certificate:
    return make_certificate(tmp_path)


def accepted(config: Path) -> str:
    assert PROGRAM is not None
    command = [*nginx.command(PROGRAM, config), "-t"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
def test_nginx_accepts_the_upstream(tmp_path, certificate):
    config = nginx.write_upstream(tmp_path, plain=9001, tls=9002, certificate=certificate)

    assert "warn" not in accepted(config)


@pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
def test_nginx_accepts_the_proxy(tmp_path, certificate):
    config = nginx.write_proxy(tmp_path, port=9000, backends=BACKENDS, certificate=certificate)

    assert "warn" not in accepted(config)


def test_proxy_keeps_connections_verifies_tls_and_buffers_wholes_only(tmp_path, certificate):
    config = nginx.write_proxy(tmp_path, port=9000, backends=BACKENDS, certificate=certificate)

    text = config.read_text()
    assert text.count("keepalive 256") == len(BACKENDS)
    assert "worker_processes 1;" in text
    assert "proxy_ssl_verify on;" in text
    assert "location /whole_tls/ { proxy_pass https://whole_tls/; proxy_buffering on; }" in text
    assert "location /stream/ { proxy_pass http://stream/; proxy_buffering off; }" in text


def test_everything_nginx_writes_stays_in_the_folder(tmp_path, certificate):
    config = nginx.write_upstream(tmp_path, plain=9001, tls=9002, certificate=certificate)

    lines = [line.split() for line in config.read_text().splitlines()]
    places = [line[1] for line in lines if line and line[0].endswith(("_path", "pid", "error_log"))]
    assert len(places) == 7
    assert all(place.startswith(str(tmp_path)) for place in places)
