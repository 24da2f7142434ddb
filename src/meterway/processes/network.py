"""The way to upstreams that the settings ask for."""

from meterway.settings import Settings
from meterway.upstreams.transport import Transport
from meterway.upstreams.transports.choose import open_transport


def open_network(settings: Settings) -> Transport:
    """Return the transport of this process; one proxy carries http and https alike."""
    proxy = settings.https_proxy or settings.http_proxy
    certificates = settings.ssl_cert_file
    return open_transport(
        proxy=proxy.get_secret_value() if proxy else None,
        no_proxy=settings.no_proxy or "",
        ca_file=str(certificates) if certificates else None,
    )
