"""What a JWT says of itself. Its signature is not looked at: whoever it is shown to does that."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Claims:
    """Times are seconds since 1970; None where the token does not say."""

    issuer: str | None
    subject: str | None
    audience: tuple[str, ...]
    issued: float | None
    begins: float | None
    ends: float | None

    @property
    def is_for_issuer(self) -> bool:
        """Whether it is for whoever issued it, which is what an API server expects unless --api-audiences says else."""
        return not self.audience or self.issuer is None or self.issuer in self.audience


def read_claims(token: str) -> Claims | None:
    """None for what is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict):
        return None
    audience = payload.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    return Claims(
        _text(payload, "iss"),
        _text(payload, "sub"),
        tuple(name for name in named if isinstance(name, str)),
        _time(payload, "iat"),
        _time(payload, "nbf"),
        _time(payload, "exp"),
    )


def _text(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    return value[:200] if isinstance(value, str) else None


def _time(payload: Mapping[str, Any], name: str) -> float | None:
    value = payload.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
