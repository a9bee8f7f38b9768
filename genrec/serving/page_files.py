"""The page at `/`: the files of one folder, read once, and served from memory under strict headers."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI, Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again every time, and answered 304: a new version is seen at once
}


class PageFile(NamedTuple):
    """A file of the page, as it goes out."""

    path: str
    """Where it is served."""
    content: bytes
    headers: dict[str, str]


def page_files() -> list[PageFile]:
    """All of them: nothing else is ever served."""
    return [_page_file(file) for file in sorted(FOLDER.iterdir()) if file.suffix in _MEDIA_TYPES]


def add_page(app: FastAPI) -> None:
    """Serve the page, without a key: it holds nothing of the run."""
    for file in page_files():
        app.add_route(file.path, _handler(file), methods=["GET", "HEAD"], include_in_schema=False)


def _page_file(file: Path) -> PageFile:
    content = file.read_bytes()
    headers = {
        **_HEADERS,
        "Content-Type": _MEDIA_TYPES[file.suffix],
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    }
    return PageFile("/" if file.name == INDEX else f"/page/{file.name}", content, headers)


def _handler(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        told = request.headers.get("if-none-match", "")
        if file.headers["ETag"] in [tag.strip().removeprefix("W/") for tag in told.split(",")]:
            return Response(status_code=304, headers=file.headers)
        if request.method == "HEAD":
            return Response(headers={**file.headers, "Content-Length": str(len(file.content))})
        return Response(file.content, headers=file.headers)

    return answer
