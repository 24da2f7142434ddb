"""Which transport the settings lead to."""

import pytest

from meterway.processes.network import open_network
from meterway.settings import load
from meterway.upstreams.transports.choose import ProxiedTransport
from meterway.upstreams.transports.native import NativeTransport

PROXY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({}, NativeTransport),
        ({"HTTPS_PROXY": PROXY}, ProxiedTransport),
        ({"http_proxy": PROXY}, ProxiedTransport),
    ],
)
async def test_settings_choose_the_transport(environ, kind):
    transport = open_network(load({}, environ=environ))
    await transport.close()

    assert type(transport) is kind
