"""JSON that ends in its own SHA-256, so that no flipped bit and no edit by hand goes unnoticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "seal"


def sealed_json(content: Mapping[str, Any]) -> bytes:
    """The content as text, with the SHA-256 of that text under one more key, `seal`."""
    return _text({**content, SEAL: hashlib.sha256(_text(content)).hexdigest()})


def read_sealed_json(written: bytes) -> dict[str, Any]:
    """The content that `sealed_json` was given; `ValueError` unless these are the bytes that it made of it."""
    found = json.loads(written)
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, but found {type(found).__name__}")
    content = {key: value for key, value in found.items() if key != SEAL}
    if sealed_json(content) != written:
        raise ValueError("it does not end in its own SHA-256")
    return content


def _text(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
