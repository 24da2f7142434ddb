"""A gateway whose channels lead to a vendor that tells what was used, and the ledger's own view."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from meterway.protocols.usage import Usage
from tests.factories.gateways import Gateway, Key, wait_for
from tests.fakes.scripted_vendor import ScriptedVendor, scripted_vendor

# What an upstream speaks: its provider, what its base URL ends with, and the models it has; among
# them those that Gemini CLI likes, the one that chooses for it made by another vendor.
UPSTREAMS = {
    "chat": ("openai-compatible", "/v1", "gpt-4o-mini"),
    "messages": (
        *("anthropic-compatible", ""),
        "claude-sonnet-4-5,gemini-3.5-flash-lite=claude-sonnet-4-5",
    ),
    "content": (
        *("gemini-compatible", ""),
        "gemini-3.1-pro-preview,gemini-3.1-pro-preview-customtools",
    ),
    "responses": ("openai", "/v1", "gpt-4o-mini"),
}


@dataclass(frozen=True)
class Metered:
    """A gateway with one channel for each dialect of the vendor's."""

    gateway: Gateway
    vendor: ScriptedVendor

    def to(self, upstream: str) -> str:
        """Return the name of the first model behind the channel of a dialect."""
        return f"{upstream}/{UPSTREAMS[upstream][2].partition(',')[0]}"

    def charged(self, key: Key) -> list[dict[str, Any]]:
        """Wait until every call the vendor answered is in the ledger; return their receipts."""
        page = wait_for(lambda: self._listed(key), f"{len(self.vendor.told)} posted calls")
        return [self._read(key, "GET", f"/api/v1/user/receipts/{call['id']}") for call in page]

    def _listed(self, key: Key) -> list[dict[str, Any]] | None:
        found = self._read(key, "POST", "/api/v1/user/usage/list", "{}")["calls"]
        return found if len(found) >= len(self.vendor.told) else None

    def _read(self, key: Key, method: str, path: str, body: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {key.token}"}
        answer = self.gateway.send(method, path, headers, body)
        assert answer.status == 200, answer
        return answer.body["data"]


@contextmanager
def metered_gateway(new_gateway: Callable[..., Gateway], **environ: str) -> Iterator[Metered]:
    """Run the vendor and a gateway before it until the end of the block."""
    with scripted_vendor() as vendor:
        made = new_gateway(**environ)
        for name, (provider, end, models) in UPSTREAMS.items():
            where = ("--provider", provider, "--name", name, "--prefix", name)
            base = ("--base-url", vendor.base + end, "--api-key", "sk-vendor")
            made.run("channel", "add", *where, *base, "--models", models)
        yield Metered(made.start(), vendor)


def same(receipts: list[dict[str, Any]], vendor: ScriptedVendor) -> None:
    """Check that the ledger holds what the vendor reported, call by call, and nothing else."""
    posted = [Usage(**receipt["usage"]) for receipt in receipts]
    assert Counter(posted) == Counter(told.usage for told in vendor.told)
    assert {
        (receipt["outcome"], receipt["usage_source"], len(receipt["attempts"]))
        for receipt in receipts
    } == {("completed", "reported", 1)}
    assert all(float(receipt["fee_usd"]) > 0 for receipt in receipts)
