"""What `Database.begin()` gives: a session for one transaction, and what all of it goes by."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from payments_service.domain.payment import Line, Policy
from payments_service.store.seal import ChainKeys


class Transaction(Session):
    """A session that ends with its transaction. What is to follow a commit is collected here until then."""

    def __init__(self, engine: Engine, policy: Policy, chain_keys: ChainKeys) -> None:
        super().__init__(engine, expire_on_commit=False)
        self.policy = policy
        """What the settings leave to the merchant."""
        self.chain_keys = chain_keys
        """What seals the history, newest first."""
        self.wakes: set[str] = set()
        """Sweeps that this transaction leaves work for."""
        self.lines: list[Line] = []
        """Log lines about what it decided: they are true once it is committed."""

    def say(self, logger: str, level: int, message: str, about: Mapping[str, Any]) -> None:
        """A line for the log, once all of this is committed."""
        self.lines.append(Line(level, message, dict(about), logger))
