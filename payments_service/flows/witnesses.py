"""May our clock end something for good? Only when a witness beside it tells the same time.

The witnesses: the machine's own count (see `clock.py`), the Date of the gateways' answers, and the newest row
that was stored before this process began. While they contradict the clock, or none of them can say anything,
nothing is given up, forgotten or released; asking the gateways goes on, and their answers bring the Date.
"""

from datetime import datetime, timedelta
from socket import gethostname

from sqlalchemy.orm import Session

from payments_service.domain import clock as clocks
from payments_service.domain.clock import LEAP, Clock, Watch
from payments_service.domain.states import AlertCode
from payments_service.flows.alerts import raise_alert
from payments_service.store import history
from payments_service.store.db import Database

IN_DOUBT = timedelta(hours=1)
"""While our clock may be wrong, it knows no age: everything is looked at this often."""


def agree(session: Session, clock: Clock) -> bool:
    """Whether a step that our clock demands, and that cannot be taken back, may be taken."""
    if not clock.is_watched:
        return True
    watch = clocks.WATCH
    if abs(clock.now() - watch.now()) > LEAP:
        return False
    by_gateways = watch.gateways_agree()
    if by_gateways is None:
        return _rows_agree(session, watch)
    return by_gateways or _believe_gateways(session, watch)


def look_soon(moment: datetime | None, clock: Clock) -> datetime:
    """The next look while our clock may be wrong: it ends no watch."""
    soon = clock.after(IN_DOUBT)
    return soon if moment is None else min(moment, soon)


def tell(db: Database, clock: Clock) -> int:
    """Tell a person that the clock of this machine is wrong, once; how many alerts are new."""
    watch = clocks.WATCH
    watch.now()
    if watch.untold is None and watch.gateways_agree() is not False:
        return 0
    with db.begin() as session:
        agree(session, clock)
        off = watch.untold
        if off is None:
            return 0
        about = {"machine": gethostname(), "offBySeconds": round(off.total_seconds())}
        is_news = raise_alert(session, AlertCode.CLOCK_LEAP, gethostname(), about, clock)
    watch.untold = None
    return int(is_news)


def _rows_agree(session: Session, watch: Watch) -> bool:
    newest = _newest_row(session, watch)
    if newest is None:
        return True  # nothing is stored that could come to harm
    # One that was old when we began says nothing: it was quiet, or our clock was ahead.
    return abs(watch.process_started - newest) <= LEAP


def _believe_gateways(session: Session, watch: Watch) -> bool:
    """The gateways tell another time than our clock: theirs counts when the rows are nearer to it.

    False all the same: what the caller has reckoned so far, it has reckoned with the wrong time.
    """
    ours, theirs, newest = watch.now(), watch.gateways_now(), _newest_row(session, watch)
    watch.doubt(ours - theirs)
    if newest is not None and abs(newest - theirs) < abs(newest - ours):
        watch.believe_gateways()
    return False


def _newest_row(session: Session, watch: Watch) -> datetime | None:
    """The last row of the history, if it is from a time to come; else the last from before our process."""
    newest = history.newest(session)
    if newest is None or newest > watch.now() + LEAP:
        return newest
    return history.newest(session, before=watch.process_started)
