"""A machine whose wall clock can be wrong, and a gateway whose answers tell the true time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from payments_service.domain import clock as clocks
from payments_service.domain.clock import Watch
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Unavailable
from payments_service.domain.news import Checkout, NewOrder, OrderRef, PaymentSnapshot
from tests.support.fake_gateway import FakeGateway


@dataclass
class Machine:
    """`moment` is the true time, `off` how wrong the wall clock is, `counted` what the count has come to."""

    install: Callable[[Watch], None]
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))
    off: timedelta = timedelta(0)
    counted: timedelta = timedelta(hours=1)

    def start_process(self) -> None:
        """Web process, worker and command have one watch each; here the one that is at work."""
        self.install(Watch(lambda: self.moment + self.off, lambda: self.counted))

    def pass_time(self, wait: timedelta, *, counts: bool = True) -> None:
        self.moment += wait
        self.counted += wait if counts else timedelta(0)


class DatedGateway(FakeGateway):
    """It says what time it is with every answer, unless it cannot be reached."""

    machine: Machine
    tells_date = True

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        self._date()
        return super().create_order(order, deadline)

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        self._date()
        return super().fetch_payment(order, deadline)

    def _date(self) -> None:
        if self.tells_date and not isinstance(self.fetch_error, Unavailable):
            clocks.WATCH.hear(self.name, format_datetime(self.machine.moment))
