"""An upstream inside the product: real wire, scripted behaviour, no vendor and no socket."""

from meterway.upstreams.sandbox.transport import SandboxTransport

__all__ = ["SandboxTransport"]
