"""Ingest, as a table: which topics reach which handler, and what is served over HTTP."""

from functools import cache
from pathlib import Path

from aiokafka import ConsumerRecord
from fastapi import APIRouter
from pydantic import Field

from contracts.access import ROUTES
from contracts.topics import COMPACTED, PARTITIONS
from services.ingest import api, metrics
from services.ingest.districts_file import DistrictsFile
from services.ingest.handlers import ageing, clearing, landed, policies, progress
from services.ingest.handlers.own_words import OWN
from services.ingest.rules.allowance import Allowance, copies
from services.ingest.rules.landing import Landed, Rejection
from services.ingest.store import books, forgotten
from services.runtime.delivery import letting_go
from services.runtime.delivery.pace import Pace
from services.runtime.delivery.publisher import partition_of
from services.runtime.delivery.subscription import Delivery, Subscription
from services.runtime.delivery.transaction import Transaction
from services.runtime.service import Context, Service, Timer
from services.runtime.settings import Settings

CLEAR_SECONDS = 5.0
CLOSE_SECONDS = 3600.0


class IngestSettings(Settings):
    """Ingest alone is told where the districts' secrets and tokens are, and how much each may upload."""

    districts_file: Path
    upload_bytes_per_hour: int = Field(default=Allowance().bytes, ge=1)
    upload_rows_per_hour: int = Field(default=Allowance().rows, ge=1)
    upload_refused_rows_per_hour: int = Field(default=Allowance().refused, ge=1)

    @property
    def allowance(self) -> Allowance:
        """What a district's uploads may come to in an hour."""
        return Allowance(
            bytes=self.upload_bytes_per_hour,
            rows=self.upload_rows_per_hour,
            refused=self.upload_refused_rows_per_hour,
        )


_one_by_one = copies()


@cache
def _file() -> DistrictsFile:
    # Read when the service starts and not when the module is imported.
    return DistrictsFile(IngestSettings.from_environment().districts_file)


def _decode_landed(record: ConsumerRecord) -> Landed | Rejection | landed.Unread:
    return landed.decode_landed(record, districts=_file().districts)


async def _on_landed(transaction: Transaction, deliveries: list[Delivery]) -> None:
    await landed.on_landed(transaction, deliveries, districts=_file().districts, one_by_one=_one_by_one)


def _is_declared(topic: str) -> bool:
    return _file().names(topic)


def _lane_of(topic: str) -> int:
    return partition_of(topic.partition("-in-")[2], PARTITIONS)


def _routes(context: Context) -> APIRouter:
    settings = context.settings
    allowance = settings.allowance if isinstance(settings, IngestSettings) else Allowance()
    return api.routes(context, _file().current, allowance)


service = Service(
    name="ingest",
    access=ROUTES["ingest"],
    migrations=Path(__file__).parent / "migrations",
    measure=metrics.measure,
    subscriptions=(
        Subscription(
            group="leap-ingest",
            pattern="^(attendance|roster)-in-.*",
            decode=_decode_landed,
            handle=_on_landed,
            passed=books.pass_over,
            was_cut=forgotten.was_cut,
            # A topic may be there before the file names its district: set aside, its records would have no effect.
            expected=_is_declared,
            # A district's flood would keep those of its lane waiting at flagging: it waits where it landed.
            pace=Pace(group="leap-flagging", topic="rolls", lane_of=_lane_of),
            # Twice the usual: what a batch waits for, acknowledgements and its commit, is the same for any size.
            max_records=10_000,
        ),
        Subscription(
            group="leap-ingest-receipts",
            topics=("receipt-progress",),
            decode=progress.decode_progress,
            handle=progress.on_receipt_progressed,
        ),
        Subscription(
            group="leap-ingest-policies",
            topics=("district-policies",),
            decode=policies.decode,
            handle=policies.on_policies,
            compacted=COMPACTED,
        ),
    ),
    timers=(
        Timer(name="clear what is forgotten", every_seconds=CLEAR_SECONDS, run=clearing.clear),
        Timer(name="close parts with names", every_seconds=CLOSE_SECONDS, run=clearing.close_parts),
        Timer(name="let go what is too old", every_seconds=letting_go.EVERY_SECONDS, run=ageing.let_go),
    ),
    own_words=OWN,
    routes=_routes,
    settings=IngestSettings,
    max_body_bytes=None,  # an upload's limit is the api's own
)
