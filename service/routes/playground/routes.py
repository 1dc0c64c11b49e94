"""Serves the files of the playground. The page holds no data: all it shows comes from the API.

Everything that the page refers to is relative, so it works below a path prefix of a proxy, too.
"""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.routing import Route

STATIC = Path(__file__).parent / "static"

# Only files of this server run or style the page, and it talks to this server alone. Trusted Types
# make the browser refuse every call that would parse a text as HTML, so that texts stay texts.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # For browsers that do not know `frame-ancestors`.
    "X-Frame-Options": "DENY",
    # Browsers keep the files and ask each time whether they changed, so that a page and its
    # scripts are of one version after an upgrade.
    "Cache-Control": "no-cache",
}

_MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}

router = APIRouter()


def _serve(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers with a file, or 304 to a browser that has it."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = _HEADERS | {"ETag": etag}

    async def serve(request: Request) -> Response:
        # A proxy that compresses answers makes the tag a weak one.
        known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        if etag in map(str.strip, known):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return serve


# A route for each file instead of one for a folder: these paths need no key, and no other path
# must be taken for one of them.
for _file in sorted(STATIC.iterdir()):
    _path = "/playground" if _file.name == "index.html" else f"/playground/{_file.name}"
    router.add_api_route(
        _path,
        _serve(_file.read_bytes(), _MEDIA_TYPES[_file.suffix]),
        methods=["GET", "HEAD"],
        include_in_schema=False,
    )

PATHS = [route.path_regex for route in router.routes if isinstance(route, Route)]
"""Patterns of the paths of all files."""
