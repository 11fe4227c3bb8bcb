"""The service as a drill runs it: what a web process waits for in real minutes passes in seconds, as the
worker's `--time-scale` lets its waits pass. The limits stay in proportion; nothing else is changed."""

from dataclasses import replace
from datetime import timedelta

from payments_service import worker
from payments_service.domain.states import AlertCode
from payments_service.flows import beats, liveness, monitors, watch

SCALED = {AlertCode.WORKER_SILENT: 15.0, AlertCode.SWEEP_SILENT: 15.0}
"""In seconds: both are three minutes, and the intervals of what they watch are a twelfth as well."""

worker.BEAT_EVERY_SECONDS /= 12
worker.MONITOR_EVERY_SECONDS /= 12
beats.WRITTEN_EVERY_SECONDS /= 12
watch.EVERY_SECONDS = watch.KNOWN_SECONDS = 2.0
watch.AWAY_SECONDS = 10.0
liveness.WORKER_SILENT = timedelta(seconds=SCALED[AlertCode.WORKER_SILENT])
liveness.DOWN_FOR = timedelta(seconds=10)
liveness.REFUSED_FOR = timedelta(seconds=2)
liveness.NO_GOOD_WEBHOOK_FOR = timedelta(seconds=11)
monitors.ALARMS = tuple(
    replace(alarm, limit=SCALED.get(alarm.code, alarm.limit)) for alarm in monitors.ALARMS
)
liveness.SWEEPS = next(alarm for alarm in monitors.ALARMS if alarm.code is AlertCode.SWEEP_SILENT)

from tests.support.wsgi import app  # noqa: E402 (it makes the gateways)

__all__ = ["app"]
