"""Does the storm notice? Rules are taken out of a scratch copy of the package; each storm must turn red.

    python -m tests.chaos.sabotage [NAME …]

Nothing of this is in the package: a patch is a text that stands once in a function, and another one for it.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.chaos.__main__ import print_broken, run
from tests.chaos.town import ROOT, Options
from tests.support.patching import Patch, apply

CALM: dict[str, Any] = {
    "fault_rate": 0.0,
    "timeout_rate": 0.0,
    "slow_rate": 0.0,
    "crash_every": 0,
    "kill_every": 0.0,
    "bad_merchant": 0.0,
    "webhook_rate": 0.0,
}


@dataclass(frozen=True)
class Sabotage:
    name: str
    patches: tuple[Patch, ...]
    options: Options
    """A storm of the kind that the rule is for."""
    expects: tuple[str, ...] = field(default=())
    """Of the rules that may break, one must."""


SABOTAGES = (
    Sabotage(
        "unique inbox key removed",
        (
            Patch("flows/intake.py", "if key in self._taken:", "if False:", function="_Batch.decide"),
            Patch(
                "store/inbox.py",
                "    insert_once(\n        session,\n        PaymentWebhook,\n",
                "    _insert(\n        session,\n        PaymentWebhook,\n",
                function="store",
            ),
            Patch(
                "store/inbox.py",
                "def _is_secret(header: str)",
                "def _insert(session, table, _unique, **values):  # type: ignore\n"
                "    from sqlalchemy import insert\n\n"
                "    session.execute(insert(table).values(**values))\n\n\n"
                "def _is_secret(header: str)",
            ),
            Patch(
                "store/migrations/versions/0001_first_tables.py",
                '        sa.UniqueConstraint("gateway", "event_id", '
                'name=op.f("uq_payment_webhooks_gateway_event_id")),\n',
                "",
                function="upgrade",
            ),
        ),
        Options(payments=24, **(CALM | {"webhook_rate": 0.4})),
        ("every webhook that was answered 200 is kept once",),
    ),
    Sabotage(
        "row lock and numbers of the history removed",
        (
            Patch(
                "store/payments.py",
                ".with_for_update(key_share=True)",
                "",
                function="lock",
            ),
            Patch("store/wire.py", '    lock = " FOR NO KEY UPDATE"\n', '    lock = ""\n'),
            Patch(
                "store/migrations/versions/0001_first_tables.py",
                '        sa.UniqueConstraint("payment_id", "sequence", '
                'name=op.f("uq_payment_events_payment_id_sequence")),\n',
                "",
                function="upgrade",
            ),
        ),
        Options(payments=60, database="postgresql", stories=("pays", "pays twice", "bank holds"), **CALM),
        (
            "nothing broke inside",
            "the history is whole and only goes forward",
            "each fact is in the outbox once",
        ),
    ),
    Sabotage(
        "amount check removed",
        (
            Patch(
                "domain/decide.py",
                "    if amounts_differ(payment, snapshot):\n",
                "    if False and amounts_differ(payment, snapshot):\n",
                function="apply",
            ),
        ),
        Options(payments=24, stories=("pays", "wrong amount"), **CALM),
        ("every payment ends as its gateway says",),
    ),
    Sabotage(
        "reference not looked at before a capture",
        (
            Patch(
                "domain/decide.py",
                "    if reference is not None and reference.paid_by not in (None, payment.id):\n",
                "    if False:\n",
                function="_after",
            ),
        ),
        Options(payments=120, gateways=("phonepe", "razorpay"), stories=("bank holds",), **CALM),
        ("money held for a paid reference is not captured",),
    ),
    Sabotage(
        "outbox outside the transaction",
        (
            Patch(
                "store/record.py",
                "    return statements + outbox.inserting(wire, [fact for record in records for fact in"
                " record.facts])\n",
                "    records.told = [fact for record in records for fact in record.facts]\n"
                "    return statements\n",
                function="writing",
            ),
            Patch(
                "store/record.py",
                "            run(wire, statements)\n",
                "            run(wire, statements)\n"
                '        if told := getattr(self._records, "told", None):\n'
                '            session.info.setdefault("later", []).append(\n'
                "                lambda other: wire_in(other).run(outbox.inserting(wire, told))\n"
                "            )\n"
                "            self._records.told = None\n",
                function="Changes.write",
            ),
            Patch(
                "store/burst.py",
                "        return has_facts\n",
                "        if told := getattr(records, 'told', None):\n"
                "            from payments_service.store import outbox\n"
                "            wire.run([*begin, *outbox.inserting(wire, told), COMMIT])\n"
                "        return has_facts\n",
                function="run",
            ),
            Patch(
                "store/db.py",
                "        with self._transaction(self.engine) as tx:\n            yield tx\n",
                "        with self._transaction(self.engine) as tx:\n            yield tx\n"
                '        for job in tx.info.pop("later", []):\n'
                "            with self.begin() as other:\n                job(other)\n",
                function="Database.begin",
            ),
        ),
        Options(payments=60, **(CALM | {"crash_every": 12})),
        ("each fact is in the outbox once",),
    ),
    Sabotage(
        "lease ignored",
        (
            Patch(
                "flows/create_order.py",
                "if order.status != OrderStatus.CREATING or (is_sure and order.leased_until <= now):",
                "if True:",
                function="_take_over",
            ),
            Patch(
                "flows/idempotency.py",
                "if is_sure and ends <= now:",
                "if True:",
                function="claim",
            ),
        ),
        Options(payments=40, gateways=("phonepe",), **(CALM | {"slow_rate": 0.4, "workers": 1})),
        ("an order is lost only by a fault", "a payment has one order beyond those that were lost"),
    ),
    Sabotage(
        "observed_at ignored",
        (
            Patch(
                "domain/decide.py",
                "    newer = known_at is None or observed_at > known_at or known_at > now + LEAP\n",
                "    newer = True\n",
                function="apply",
            ),
        ),
        Options(payments=30, stories=("fails", "fails then pays", "dawdles then pays", "pays late"), **CALM),
        ("old news that is sent again changes nothing",),
    ),
)


def sabotaged(sabotage: Sabotage | None, folder: Path) -> Path:
    """A scratch copy of package and storm, patched; raises when a patch does not fit (any more)."""
    for name in ("payments_service", "gateway_simulator", "tests/chaos", "tests/support"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests/__init__.py").touch()
    shutil.copy(ROOT / "wsgi.py", folder)
    apply(folder / "payments_service", sabotage.patches if sabotage else ())
    return folder


def try_one(sabotage: Sabotage, *, seed: int, is_control: bool) -> bool:
    """Whether it went as it should: red under sabotage, green without."""
    with tempfile.TemporaryDirectory(prefix="payments-sabotage-") as scratch:
        root = sabotaged(None if is_control else sabotage, Path(scratch))
        outcome, broken = run(replace(sabotage.options, root=root, seed=seed))
    rules = Counter(one.rule for one in broken)
    is_right = not rules if is_control else any(rule in rules for rule in sabotage.expects)
    name = f"(control) {sabotage.name}" if is_control else sabotage.name
    told = ", ".join(f"{rule} ({count})" for rule, count in rules.most_common(3)) or "green"
    print(
        f"| {name} | {sabotage.options.database} | {told} | {'✓' if is_right else 'NOT NOTICED'} |",
        flush=True,
    )
    if is_control and broken:
        print_broken(outcome, broken)
    return is_right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all when none is given")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--control", action="store_true", help="also the same storms without sabotage")
    arguments = parser.parse_args()
    chosen = [s for s in SABOTAGES if not arguments.names or any(n in s.name for n in arguments.names)]
    print("| Taken out | Database | What turned red | |\n| --- | --- | --- | --- |")
    right = []
    for sabotage in chosen:
        if arguments.control:
            right.append(try_one(sabotage, seed=arguments.seed, is_control=True))
        right.append(try_one(sabotage, seed=arguments.seed, is_control=False))
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
