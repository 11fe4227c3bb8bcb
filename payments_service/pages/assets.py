"""The pages' own scripts and styles: small files, read once, addressed by their content."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Response, abort, request, url_for

STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}


@dataclass(frozen=True)
class Asset:
    content: bytes
    media_type: str
    version: str


def asset_url(name: str) -> str:
    return url_for("pay.static", name=name, v=_assets()[name].version)


def answer(name: str) -> Response:
    """The file. Kept for good under the address that names its version, not at all under another."""
    asset = _assets().get(name) or abort(404)
    response = Response(asset.content, mimetype=asset.media_type)
    is_current = request.args.get("v") == asset.version
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_current else "no-cache"
    return response


@cache
def _assets() -> Mapping[str, Asset]:
    return {path.name: _asset(path) for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, MEDIA_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:12])
