"""Behind a balancer that keeps its connections: an idle one is never closed under a request on its way."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.house import running_house
from tests.support.nginx import running_nginx
from tests.support.serving import gunicorn_settings

NGINX_SECONDS = 60
"""For how long nginx keeps an idle connection to a service, unless it is told otherwise."""
SCALED_SECONDS = 2
CALLERS, ROUNDS = 60, 36


@pytest.mark.check
def test_no_request_after_a_pause_meets_a_closed_connection(tmp_path: Path) -> None:
    """Both sides wait thirty times shorter. A balancer sends no POST again: the payer would see a 502."""
    keepalive = gunicorn_settings()["keepalive"]
    ours = keepalive * SCALED_SECONDS // NGINX_SECONDS
    pause = min(ours, SCALED_SECONDS)
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    with (
        running_house(url, tmp_path, GUNICORN_CMD_ARGS=f"--keep-alive {ours}") as house,
        running_nginx(urlsplit(house.url).netloc, SCALED_SECONDS) as balancer,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        seen: Counter[int] = Counter()
        for told in pool.map(lambda _: statuses(balancer, pause), range(CALLERS)):
            seen.update(told)
    assert seen == {400: CALLERS * ROUNDS}


def statuses(balancer: str, pause: int) -> Counter[int]:
    """One caller's requests, each about when the side that is first to close a connection closes it."""
    told: Counter[int] = Counter()
    with requests.Session() as session:
        for _ in range(ROUNDS):
            told[session.post(f"{balancer}/api/webhook/razorpay", data=b"{}", timeout=20).status_code] += 1
            time.sleep(pause * random.uniform(0.97, 1.05))
    return told
