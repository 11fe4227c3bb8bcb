"""The service wired together from its settings, without doors: web, worker, commands and Celery share it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from payments_service import logs, sentry
from payments_service.admission import Admission
from payments_service.flows.create_order import Urls
from payments_service.flows.deliver import Channels
from payments_service.flows.follow_ups import FollowUps
from payments_service.flows.intake import Intake
from payments_service.flows.measures import Measures
from payments_service.flows.watch import Watch
from payments_service.gateways.base import Gateway
from payments_service.gateways.measured import measured
from payments_service.settings import Settings
from payments_service.store.db import Database
from payments_service.store.measure import measure


@dataclass(frozen=True)
class Services:
    """What `wire` made of the settings, to be handed to the flows."""

    settings: Settings
    db: Database
    channels: Channels
    """Who is told of what happens, for the worker."""
    gateways: tuple[Gateway, ...]
    """Every configured provider, the one that takes new orders first."""
    intake: Intake
    """Takes in webhooks that arrive together."""
    follow_ups: FollowUps
    """What webhooks make necessary, after their 200."""
    measures: Measures
    """What the database knows of how the service does."""
    watch: Watch
    """What this process keeps an eye on beside requests."""
    admission: Admission = field(default_factory=Admission)

    @property
    def urls(self) -> Urls:
        return Urls(self.settings.backend_url)

    @property
    def mode(self) -> str:
        """`test` or `live`: settings let no two gateways differ."""
        return self.gateways[0].mode if self.gateways else "test"

    def gateway_names(self) -> list[str]:
        return list(dict.fromkeys(gateway.name for gateway in self.gateways))


def wire(settings: Settings) -> Services:
    """Wire the service together; the only place that does. The database is not asked anything yet."""
    logs.configure(settings.log_level, settings.log_format)
    sentry.start(settings.sentry_dsn, settings.env)
    channels = Channels(
        merchant_name=settings.merchant_name,
        webhook_url=settings.merchant_webhook_url,
        webhook_secrets=settings.merchant_webhook_secrets,
        smtp_url=settings.smtp_url,
        mail_from=settings.mail_from,
        ops_email=settings.ops_email,
    )
    db = Database(
        settings.database_url,
        destinations=channels.destinations,
        reviews_late_success=settings.reviews_late_success,
        wake=_waker(settings),
        secrets=settings.secret_keys,
    )
    measure(db.engine)
    gateways = tuple(measured(gateway(config)) for gateway, config in settings.gateways)
    return Services(
        settings=settings,
        db=db,
        channels=channels,
        gateways=gateways,
        intake=Intake(db),
        follow_ups=FollowUps(db, gateways),
        measures=Measures(db),
        watch=Watch(db, gateways, channels),
    )


def _waker(settings: Settings) -> Callable[[str], None] | None:
    if settings.celery_broker_url is None:
        return None
    from payments_service.broker import Waker

    return Waker(settings.celery_broker_url)
