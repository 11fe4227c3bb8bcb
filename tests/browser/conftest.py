"""The browser, for every test in this folder."""

from tests.support.browser import browser, context, expected_complaints, page

__all__ = ["browser", "context", "expected_complaints", "page"]
