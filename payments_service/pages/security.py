"""The headers of every page: who may frame it, what it may load, who may keep it."""

from flask import Response

from payments_service.pages.gateways import Sources

HEADERS = {
    "Referrer-Policy": "strict-origin-when-cross-origin",  # gateways check where a payer comes from
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# No Cross-Origin-Opener-Policy: a bank's window must be able to speak to the page that opened it.


def add_headers(response: Response) -> Response:
    """Complete a page's headers; what its view has set stays."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", content_security_policy())
    return response


def content_security_policy(extra: Sources | None = None) -> str:
    """Our own files, and what the gateway of this page needs."""
    extra = extra or Sources()
    directives = {
        "default-src": ("'none'",),
        "script-src": ("'self'", *extra.script),
        "style-src": ("'self'", *extra.style),
        "img-src": ("'self'", "data:", *extra.image),
        "connect-src": ("'self'", *extra.connect),
        "frame-src": extra.frame or ("'none'",),
        "form-action": ("'self'", *extra.form),
        "base-uri": ("'none'",),
        "frame-ancestors": ("'none'",),
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())
