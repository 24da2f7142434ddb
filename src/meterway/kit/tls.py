"""The certificates that servers we call must show."""

import ssl


def default_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a verifying context: the system store or `SSL_CERT_FILE`, and `ca_file` besides."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
