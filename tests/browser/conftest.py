"""The browser, for every test in this folder."""

from tests.support.browser import browser, complaints, context, page

__all__ = ["browser", "complaints", "context", "page"]
