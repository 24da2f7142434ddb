"""Which way a request goes: directly, or through a proxy."""

import pytest

from meterway.upstreams.errors import ConnectError
from meterway.upstreams.transport import Url
from meterway.upstreams.transports.choose import Exceptions, open_transport
from meterway.upstreams.transports.native import NativeTransport
from tests.fakes.upstream_server import UpstreamServer, reply
from tests.upstreams.transports.exchanges import outgoing, whole


@pytest.mark.parametrize(
    ("no_proxy", "address", "direct"),
    [
        ("", "https://api.example.com", False),
        ("*", "https://api.example.com", True),
        ("example.com", "https://example.com", True),
        ("example.com", "https://api.example.com", True),
        (".example.com", "https://api.example.com", True),
        ("*.example.com", "https://api.example.com", True),
        ("example.com", "https://badexample.com", False),
        ("example.com", "https://example.com.evil.net", False),
        ("other.org, Example.COM ", "https://api.example.com", True),
        ("example.com:8443", "https://example.com:8443", True),
        ("example.com:8443", "https://example.com", False),
        ("10.0.0.0/8", "http://10.1.2.3:11434", True),
        ("10.0.0.0/8", "http://11.1.2.3:11434", False),
        ("192.168.1.5", "http://192.168.1.5", True),
        ("fd00::/8", "http://[fd00::1]", True),
        ("", "http://localhost:11434", True),
        ("", "http://127.0.0.1:8000", True),
        ("", "http://[::1]:8000", True),
    ],
)
def test_no_proxy_names_hosts_ports_addresses_and_networks(no_proxy, address, direct):
    assert Exceptions(no_proxy).cover(Url.parse(address)) is direct


def test_without_a_proxy_everything_goes_directly():
    assert isinstance(open_transport(), NativeTransport)
    assert isinstance(open_transport(proxy=""), NativeTransport)


async def test_a_call_goes_through_the_proxy_with_its_credentials():
    async with UpstreamServer() as proxy:
        transport = open_transport(proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
        proxy.script(reply(b"through"))

        answer = await whole(transport, outgoing(Url.parse("http://upstream.example/v1/x?y=1")))

        assert answer == b"through"
        assert proxy.requests[0].target == "http://upstream.example/v1/x?y=1"
        assert proxy.requests[0].header(b"proxy-authorization") == b"Basic dXNlcjpwYXNz"
        await transport.close()


async def test_a_tls_call_asks_the_proxy_for_a_tunnel():
    async with UpstreamServer() as proxy:
        transport = open_transport(proxy=f"http://127.0.0.1:{proxy.port}")
        proxy.script(reply(b"", status=403))

        with pytest.raises(ConnectError):
            await whole(transport, outgoing(Url.parse("https://upstream.example/v1/x")))

        assert (proxy.requests[0].method, proxy.requests[0].target) == (
            "CONNECT",
            "upstream.example:443",
        )
        await transport.close()


async def test_an_excepted_host_is_reached_without_the_proxy():
    async with UpstreamServer() as proxy, UpstreamServer() as upstream:
        transport = open_transport(proxy=f"http://127.0.0.1:{proxy.port}")

        assert await whole(transport, outgoing(upstream.url())) == b"{}"

        assert proxy.connections == 0
        await transport.close()


async def test_a_ca_file_is_trusted_on_both_ways(trust):
    async with UpstreamServer(tls=trust.serve("127.0.0.1")) as upstream:
        transport = open_transport(ca_file=trust.ca_file)

        assert await whole(transport, outgoing(upstream.url())) == b"{}"

        await transport.close()
