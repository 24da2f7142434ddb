"""The ways to upstreams, and to what callers name by URL, that the settings ask for."""

from meterway.kit.fetching import Fetcher, PrivateHosts
from meterway.kit.fetching.dialing import SystemConnector
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


def open_fetcher(settings: Settings) -> Fetcher:
    """Return what fetches for this process; no proxy stands between, which could not be checked."""
    certificates = settings.ssl_cert_file
    return Fetcher(
        private_hosts=PrivateHosts(settings.fetch_private_hosts or ""),
        connector=SystemConnector(str(certificates) if certificates else None),
    )
