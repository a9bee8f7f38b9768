"""Who may call: those who bring the API key; and without one, nobody may change anything."""

import hmac

from fastapi import Request

from genrec.serving.bodies import CallError

API_KEY = "GENREC_API_KEY"
"""Environment variable: if it is set, calls must bring its value as `Authorization: Bearer ...` or `X-API-Key`."""


def check_key(request: Request, key: str) -> None:
    """401 unless the call brings the key; an empty one asks for none."""
    if not key:
        return
    told = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(told.encode(), key.encode()):
        raise CallError(401, "unauthorized", "send the API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`")


def check_key_to_change(request: Request, key: str) -> None:
    """As `check_key`, but 403 where the server has no key."""
    if not key:
        raise CallError(
            403,
            "changes_are_off",
            f"this server changes nothing, since it asks for no key; start it with {API_KEY} in its environment to "
            "switch changes on",
        )
    check_key(request, key)
