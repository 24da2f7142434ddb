"""Tests of the throw-away certificate."""

import ssl

import pytest

from meterway.bench.certificate import Certificate, make_certificate


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    ways = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(ways[0], ways[1], server_side=True),
        client.wrap_bio(ways[1], ways[0], server_hostname=name),
    )
    done = [False, False]
    for _ in range(10):
        for which, end in enumerate(ends):
            try:
                end.do_handshake()
                done[which] = True
            except ssl.SSLWantReadError:
                continue
    assert all(done)


@pytest.fixture
def certificate(tmp_path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_client_that_trusts_the_authority_accepts_the_server(certificate, name):
    handshake(certificate.server_context(), certificate.client_context(), name)


def test_another_name_is_refused(certificate):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificate.server_context(), certificate.client_context(), "example.org")


def test_a_client_without_the_authority_refuses_the_server(certificate):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificate.server_context(), ssl.create_default_context(), "127.0.0.1")


def test_the_key_is_readable_by_its_owner_only(certificate):
    assert certificate.key.stat().st_mode & 0o077 == 0
