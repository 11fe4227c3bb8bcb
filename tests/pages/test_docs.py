"""/docs: the whole document for people, from this service alone."""

import re

import pytest
from flask.testing import FlaskClient

from payments_service.api.codes import CODES
from tests.support.recorder import DOCUMENT, METHODS

PAGES = ("/docs", "/docs/errors")


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_ours_alone_under_a_strict_policy(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert "<script" not in answer.text
    assert not re.search(r' style="| on[a-z]+="', answer.text)
    for address in re.findall(r'(?:src|href)="([^"]*)"', answer.text):
        assert address.startswith(("/docs", "/pay/static/", "#", "data:")), address


def test_every_operation_and_event_is_there(client: FlaskClient) -> None:
    html = client.get("/docs").text
    for path, operations in DOCUMENT["paths"].items():
        for method in operations.keys() & set(METHODS):
            assert f'id="{operations[method]["operationId"]}"' in html
            assert operations[method]["summary"] in html.replace("&#39;", "'"), path
    for event in DOCUMENT["webhooks"]:
        assert f"<code>{event}</code>" in html


def test_every_link_leads_somewhere(client: FlaskClient) -> None:
    anchors = {path: set(re.findall(r' id="([^"]+)"', client.get(path).text)) for path in PAGES}
    for path in PAGES:
        for there, anchor in re.findall(r'href="(/docs[a-z/]*|)#([^"]+)"', client.get(path).text):
            assert anchor in anchors[there or path]


def test_every_code_has_its_paragraph(client: FlaskClient) -> None:
    html = client.get("/docs/errors").text
    for code in CODES:
        assert f'<section id="{code}"' in html


def test_programs_get_the_committed_file(client: FlaskClient) -> None:
    assert client.get("/docs/openapi.json").json == DOCUMENT
