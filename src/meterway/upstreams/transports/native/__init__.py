"""Our own HTTP/1.1 client: a keep-alive pool on httptools, without a task per request."""

from meterway.upstreams.transports.native.pool import NativeTransport

__all__ = ["NativeTransport"]
