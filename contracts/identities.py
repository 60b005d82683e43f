"""What makes a fact the same fact, and what makes one newer: identities and versions that no restored table turns back.

A database can be put back to yesterday while Kafka, and every other service, is at today. Whatever was numbered by a
sequence, drawn at random, or counted up from a row is then given a second time, to something else: "newest wins" picks
the wrong one, and a repeat is taken for news. So nothing that is told takes its identity or its version from there:

facts of ingest             the same by its landing place; newest by the source's version: both stand in its topic.
flags, figures, tallies     by subject and version; by the append time of the newest fact behind it, or last + 1.
requests                    by household, school year and the requests before; by the time of the command or batch.
visits                      by the request and the version that agreed it; by the request's version.
logs, referrals, promises   by the phone's own id and the place in the log; written once, and a referral only goes on.
visitors                    by the code that people gave; by the time of the command.
policies and statuses       by district and version; last + 1, taken back from their topic before anybody decides.
contacts                    by household; by the source's version, which stays when they are taken back.
releases                    by the date of the cut-off; never changed, so a lost one can't be made again.

Where a time orders, it is the larger of that time and last + 1: versions grow also where a clock was set back. What a
service told and its restored tables do not know, it takes back from its own topics before it serves (decision 19).
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

_OURS = UUID("6f0a3c52-9d0e-5b57-8d3b-0f2f6a3a7c11")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def identity(kind: str, *parts: object) -> UUID:
    """Name something by what it follows from: the same parts give the same identity, whoever asks and whenever."""
    return uuid5(_OURS, "/".join((kind, *map(str, parts))))


def microseconds(moment: datetime) -> int:
    """Give the moment as a version: microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def version_after(last: int, *, as_of: datetime) -> int:
    """Give the version that a command or batch of this moment makes of what stood at `last`; 0: nothing stood."""
    return max(last + 1, microseconds(as_of))


def request_identity(*, household_key: UUID, school_year: int, before: int) -> UUID:
    """Name a household's next request by how many it had before; all of those are closed."""
    return identity("request", household_key, school_year, before)


def visit_identity(*, request_id: UUID, version: int) -> UUID:
    """Name the visit that was agreed when the request came to this version."""
    return identity("visit", request_id, version)
