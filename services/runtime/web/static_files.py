"""Our own stylesheets and scripts, and htmx from where it was installed: nothing comes from another site."""

import hashlib
import mimetypes
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from fastapi import HTTPException, Request, Response

OWN_STATIC = Path(__file__).parent / "static"
A_YEAR_UNCHANGED = "public, max-age=31536000, immutable"

# The scripts of htmx 4, carried by a wheel that was made for another framework and is installed without it.
_VENDORED = {"vendor/htmx.js": "htmx-4.min.js", "vendor/hx-sse.js": "ext/hx-sse-4.min.js"}


def vendored() -> dict[str, Path]:
    """Find the installed scripts. Raises FileNotFoundError where set-up has not installed them."""
    folder = Path(str(files("django_htmx"))) / "static" / "django_htmx"
    return {name: folder / path for name, path in _VENDORED.items()}


class StaticFiles:
    """A fixed set of files, read at start: no path leads anywhere else."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._contents = {name: path.read_bytes() for name, path in paths.items()}
        self._versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._contents.items()}

    def address(self, name: str) -> str:
        """Give the file's address, which changes with its content. Raises KeyError for an unknown one."""
        return f"/static/{name}?v={self._versions[name]}"

    def answer(self, request: Request, name: str) -> Response:
        """Serve the file; raises HTTPException 404 where there is none."""
        if name not in self._contents:
            raise HTTPException(404)
        version = self._versions[name]
        headers = {
            "Cache-Control": A_YEAR_UNCHANGED if request.query_params.get("v") == version else "no-cache",
            "ETag": f'"{version}"',
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(self._contents[name], media_type=kind, headers=headers)
