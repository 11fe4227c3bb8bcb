"""make drill: each fault is made in a running service, and the right alarm must come within two minutes.

    python -m tests.drill [ALARM …]

Exit code 1 when an alarm did not come, or one came that is no follower of the fault.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.drill.drills import DRILLS, FAST, Drill, Town
from tests.flows.delivering import SECRET
from tests.gateways.wire import Reply, Request, wire
from tests.support import mailbox as mailboxes
from tests.support.house import running_house

PATIENCE_SECONDS = 120.0
AFTERWARDS_SECONDS = 8.0
"""How long others are waited for that should not come."""
OPS = "ops@shop.example.com"


@dataclass(frozen=True)
class Outcome:
    drill: Drill
    seconds: float | None
    """Until it was told; None when it was not."""
    others: tuple[str, ...]

    @property
    def strangers(self) -> list[str]:
        return sorted(set(self.others) - {self.drill.alarm, *self.drill.followers})

    @property
    def is_good(self) -> bool:
        return self.seconds is not None and not self.strangers


def run(drill: Drill, folder: Path) -> Outcome:
    with _town(folder) as town:
        town.house.start_worker(FAST)
        town.house.until(lambda: town.sql("SELECT 1 FROM heartbeats WHERE name = 'worker'"), bool, 60)
        town.meanwhile(lambda: town.house.http.get(f"{town.house.url}/health", timeout=5))
        time.sleep(16)  # until then a web process counts as young
        started = time.monotonic()
        drill.make(town)
        seconds = None
        while seconds is None and time.monotonic() - started < PATIENCE_SECONDS:
            time.sleep(0.2)
            seconds = time.monotonic() - started if drill.alarm in town.told else None
        time.sleep(AFTERWARDS_SECONDS)
        town.is_over.set()
        for thread in town.threads:
            thread.join(30)
        raised = {str(row[0]) for row in town.sql("SELECT code FROM alerts")}
        return Outcome(drill, seconds, tuple(sorted(raised | set(town.told) - {drill.alarm})))


@contextmanager
def _town(folder: Path) -> Iterator[Town]:
    town: Town

    def answer(request: Request) -> Reply:
        if town.merchant_answers != 200:
            return Reply(b"", town.merchant_answers)
        body = request.json()
        if body["type"] == "ops.alert":
            town.told.append(body["data"]["code"])
        elif body["type"] == "dispute.opened":
            town.told.append("dispute_opened")
        return Reply(b"")

    with wire(answer) as merchant, mailboxes.mailbox() as box:
        box.handle_RCPT = lambda *told: _receive(town, *told)  # type: ignore[method-assign]
        letters = box.envelopes
        variables = {
            "MERCHANT_WEBHOOK_URL": merchant.url,
            "MERCHANT_WEBHOOK_SECRET": SECRET,
            "SMTP_URL": box.url,
            "MAIL_FROM": "pay@shop.example.com",
            "OPS_EMAIL": OPS,
        }
        url = f"sqlite:///{folder / 'payments.db'}"
        with running_house(url, folder, app="tests.drill.wsgi", **variables) as house:
            town = Town(house)
            town.meanwhile(lambda: _read(town, box, letters), 0.5)
            yield town
            town.is_over.set()


async def _receive(
    town: Town, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
) -> str:
    if town.letters_refused and address != OPS:
        return "550 no such user"
    envelope.rcpt_tos.append(address)
    return "250 OK"


def _read(town: Town, box: mailboxes.Mailbox, letters: list[Envelope]) -> None:
    """What the operator's letters say, by the code in their subjects."""
    for letter in list(box.letters):
        words = str(letter["Subject"]).split()
        known = {drill.alarm for drill in DRILLS} & set(words)
        town.told.extend(code for code in known if code not in town.told)


def main(words: list[str]) -> int:
    outcomes = []
    for drill in DRILLS:
        if words and drill.alarm not in words:
            continue
        with tempfile.TemporaryDirectory(prefix="payments-drill-") as folder:
            outcome = run(drill, Path(folder))
        outcomes.append(outcome)
        took = f"{outcome.seconds:4.0f} s" if outcome.seconds is not None else "never"
        beside = ", ".join(set(outcome.others) - {drill.alarm}) or "none"
        verdict = "ok  " if outcome.is_good else "WRONG"
        print(f"{verdict} {drill.alarm:20} {took}  beside it: {beside}  ({drill.fault})", flush=True)
    good = sum(outcome.is_good for outcome in outcomes)
    print(json.dumps({"drills": len(outcomes), "good": good}))
    return 0 if good == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
