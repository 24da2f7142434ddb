"""What a vendor's error text becomes before anybody reads it: short, and free of credentials."""

import re

LIMIT = 2000
_MASK = "***"
_SECRETS = re.compile(
    r"(?:\b(?:bearer|basic)\s+[-\w.~+/*]{8,}=*)"
    r"|(?:\b(?:sk|pk|rk|gsk|xai|pplx|csk|fw|hf|nvapi|tgp|r8|mw|omg|key|AIza|ya29|AKIA|eyJ)"
    r"[-_.]?(?=[-\w.*]{0,80}[\d*])[-\w.*]{7,}[-\w*])"
    r"|(?:(?<=[?&]key=)[^&\s\"']+)",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Return `text` on one screen: credentials masked, at most 2,000 characters."""
    return _SECRETS.sub(_MASK, text[: 2 * LIMIT]).strip()[:LIMIT]
