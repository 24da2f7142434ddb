"""WebSocket connections (RFC 6455), kept within the bounds of HTTP ones.

Nothing outside this package imports `websockets`, and of that only what does no I/O is used.
"""
