"""What one client connection may cost the server."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may cost; sizes in bytes, times in seconds.

    `stall_seconds` is how long a client may take nothing of what waits for it. `linger_*` bound
    what is still read, and thrown away, of a request that was answered before its body ended;
    without it the client would see a reset instead of the answer. After `ping_seconds` of silence
    the client of a WebSocket is asked whether it is there, and has `pong_seconds` to say so.
    """

    head_bytes: int = 64 * 1024
    head_count: int = 128
    target_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    stall_seconds: float = 120.0
    linger_seconds: float = 10.0
    linger_bytes: int = 256 * 1024 * 1024
    ping_seconds: float = 30.0
    pong_seconds: float = 20.0
    sweep_seconds: float = 1.0
