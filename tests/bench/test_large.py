"""The large database's requests are whole, and what is above its limit is said."""

import json
import random

from tests.bench import large
from tests.bench.scenarios import Figure, Findings


def test_every_request_is_about_the_payment_of_its_number() -> None:
    rng = random.Random(1)
    for template in large.PAGES.values():
        line = large.page(large.about(template, 42, rng)).split(b"\r\n")[0]
        assert line.startswith(b"GET /api/")
        assert line.endswith(b" HTTP/1.1")
        assert b"{" not in line
    queries = []
    for template in large.SEARCHES.values():
        _, _, body = large.search(large.about(template, 42, rng)).partition(b"\r\n\r\n")
        queries.append(json.loads(body)["query"])
    assert queries == ["buyer42@", "9000000042", "600000000042", "order_L0000000000042", "buyer"]


def test_what_is_above_or_below_its_limit_is_said() -> None:
    findings = Findings(
        [
            Figure("webhooks", "/s", [80], [100], must="0.9"),
            Figure("list, p99", "ms", [16], [10], must="at most 1.5"),
            Figure("status, p99", "ms", [14], [10], must="at most 1.5"),
            Figure("search by phone, p99", "ms", [301], [299], must="at most 1.5"),
            Figure("list, p50", "ms", [90], [1]),
        ]
    )
    told = list(large._judged(findings))
    assert [sentence.partition(":")[0] for sentence in told] == [
        "Below its limit",
        "Above its limit",
        "Above 300 ms",
    ]
