"""What districts decided: every version of their policies, of which the newest in force on a day judges it; if live."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date
from typing import NamedTuple

from services.flagging.facts import PolicyDecided, StatusChanged
from services.flagging.rules.absence import Policy
from services.runtime.columns import columns
from services.runtime.database import Connection

_READ = """
SELECT district, effective_from, version, min_enrolled_days, early_absences, early_days, early_warning,
    accumulator, fractions_of_a_day, in_school_suspension_is_absence
FROM policy WHERE district = '' OR district = ANY ($1::text[]) ORDER BY district, version"""
_KEEP = """
INSERT INTO policy (district, version, effective_from, min_enrolled_days, early_absences, early_days, early_warning,
                    accumulator, fractions_of_a_day, in_school_suspension_is_absence, disclosures_years,
                    dead_letters_years)
SELECT * FROM unnest($1::text[], $2::int[], $3::date[], $4::int[], $5::int[], $6::int[], $7::bool[], $8::text[],
    $9::bool[], $10::bool[], $11::int[], $12::int[])
ON CONFLICT (district, version) DO UPDATE
SET effective_from = excluded.effective_from, min_enrolled_days = excluded.min_enrolled_days,
    early_absences = excluded.early_absences, early_days = excluded.early_days,
    early_warning = excluded.early_warning, accumulator = excluded.accumulator,
    fractions_of_a_day = excluded.fractions_of_a_day,
    in_school_suspension_is_absence = excluded.in_school_suspension_is_absence,
    disclosures_years = excluded.disclosures_years, dead_letters_years = excluded.dead_letters_years"""

_KEPT_YEARS = """
SELECT DISTINCT ON (district) district, disclosures_years, dead_letters_years FROM policy
WHERE district <> '' AND effective_from <= (clock_timestamp() AT TIME ZONE current_setting('leap.time_zone'))::date
ORDER BY district, version DESC"""

_STATUSES = "SELECT district, status FROM district_status WHERE district = ANY ($1::text[])"
_KEEP_STATUSES = """
INSERT INTO district_status AS s (district, status, version) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT (district) DO UPDATE SET status = excluded.status, version = excluded.version
WHERE excluded.version > s.version
RETURNING district"""
# Whoever goes live is told everything: its registers are made anew, and what follows from them is told.
_TELL_ALL = "UPDATE school_year SET is_stale = true, checked_on = '-infinity' WHERE district = ANY ($1::text[])"

LIVE, REHEARSAL, PAUSED = "live", "rehearsal", "paused"


class Decisions(NamedTuple):
    """What some districts decided: policies with the day from which each is in force, oldest version first; if live."""

    decided: dict[str, list[tuple[date, Policy]]]
    statuses: dict[str, str]

    def status(self, district: str) -> str:
        """Say whether what is computed is told; a district that nobody spoke of is live."""
        return self.statuses.get(district, LIVE)

    def of(self, district: str, as_of: date) -> Policy:
        """Give the newest policy in force on the day: the district's own, or the standard one."""
        for name in (district, ""):
            for effective_from, policy in reversed(self.decided.get(name, [])):
                if effective_from <= as_of:
                    return policy
        raise LookupError("the first migration writes the standard policy")

    def count(self, district: str) -> int:
        """Say how many decisions of the district are known: a school that was judged by fewer is looked at again."""
        return len(self.decided.get(district, ()))


class KeptYears(NamedTuple):
    """For how many years a district keeps who read of its children, and dead letters; 0: as long as nobody says."""

    disclosures: int
    dead_letters: int


async def read(connection: Connection, districts: Collection[str]) -> Decisions:
    """Read the standard policy, and what these districts decided."""
    decided: defaultdict[str, list[tuple[date, Policy]]] = defaultdict(list)
    for row in await connection.fetch(_READ, list(districts)):
        fields = dict(row)
        decided[fields.pop("district")].append((fields.pop("effective_from"), Policy(**fields)))
    return Decisions(decided, {row[0]: row[1] for row in await connection.fetch(_STATUSES, list(districts))})


async def keep(connection: Connection, decided: Iterable[PolicyDecided]) -> None:
    """Keep what districts decided, each version once."""
    newest = {(each.district, each.version): each for each in decided}
    rows = [
        (
            *key, each.effective_from, each.absence.min_enrolled_days, each.absence.early_absences,
            each.absence.early_days, each.absence.early_warning, each.absence.accumulator,
            each.absence.fractions_of_a_day, each.absence.in_school_suspension_is_absence,
            each.retention.disclosures_years, each.retention.dead_letters_years,
        )
        for key, each in sorted(newest.items())
    ]  # fmt: skip
    await connection.execute(_KEEP, *columns(rows, width=12))


async def kept_years(connection: Connection) -> dict[str, KeptYears]:
    """Read by district for how many years it keeps what, as it decided for today."""
    return {row[0]: KeptYears(row[1], row[2]) for row in await connection.fetch(_KEPT_YEARS)}


async def keep_statuses(connection: Connection, changed: Iterable[StatusChanged]) -> None:
    """Make the newest status of each district stand; of one that goes live everything is told, by the timer."""
    newest = {each.district: each for each in sorted(changed, key=lambda each: each.version)}
    rows = [(each.district, each.status, each.version) for _, each in sorted(newest.items())]
    moved = await connection.fetch(_KEEP_STATUSES, *columns(rows, width=3))
    if live := [row["district"] for row in moved if newest[row["district"]].status == LIVE]:
        await tell_all(connection, live)


async def tell_all(connection: Connection, districts: Collection[str]) -> None:
    """Let the timer make the registers of these districts anew: what follows from them is told, also once more."""
    await connection.execute(_TELL_ALL, list(districts))
