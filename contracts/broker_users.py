"""Who may do what on the broker: its users, their rules, and how fast a district may send. Derived from the topics.

Pure data: what a broker has beside it is a drift, and `leap kafka check` tells it. What no rule allows is denied.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from contracts.services import SERVICES
from contracts.topics import ATTENDANCE_IN, FORGOTTEN, HOUSEHOLD_CONTACTS, ROSTER_IN, TOPICS, Topic, landing_topics

BROKER = "broker"
"""The broker itself, for which no rule is needed, and whoever lays out topics, users and rules in its name."""
OPERATOR = "leap"
"""Looks at everything but families' names, and changes nothing."""
AUDITOR = "auditor"
"""Recounts what landed, and only reads."""
DISTRICT = "district-"
"""How a district's user begins: no district's code can be taken for a service."""

GROUPS = {service: (f"leap-{service}",) for service in SERVICES} | {
    "ingest": ("leap-ingest", "leap-ingest-receipts", "leap-ingest-policies")
}
"""The consumer groups of each service; a test holds them against what the services declare."""
PACED_BY = {"ingest": ("leap-flagging",)}
"""Whose positions a service looks at, so as not to run ahead of them."""

LANDING = (ATTENDANCE_IN, ROSTER_IN)
REJECTED = "attendance-rejected"
CLEARED = (HOUSEHOLD_CONTACTS, REJECTED)
"""Its own words in which ingest looks for who is forgotten: told anew without them, or cut (decision 24)."""
AUDITED = (REJECTED, FORGOTTEN)
"""What the auditor reads beside what landed: what went back, and since when that is cut away."""


class Operation(StrEnum):
    """What a rule allows, in Kafka's words. Reading and writing a topic imply that one may describe it.

    Nobody has a rule to create or to alter. Ingest alone has one to delete, where it cuts records of who is forgotten.
    """

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    DESCRIBE = "describe"
    DESCRIBE_CONFIGS = "describe configs"
    BE_NUMBERED = "write idempotently to"


class Kind(StrEnum):
    """What a rule is about."""

    TOPIC = "topic"
    GROUP = "group"
    CLUSTER = "cluster"
    SENDER = "transactional id"


CLUSTER = "kafka-cluster"
"""The one name that Kafka has for itself."""


class Rule(NamedTuple):
    """One user may do one thing, from anywhere. `is_prefix`: to all whose name begins so."""

    user: str
    operation: Operation
    kind: Kind
    name: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.user} may {self.operation} {self.kind} {self.name}{'*' if self.is_prefix else ''}"


class Quota(NamedTuple):
    """What one user gets of each broker: bytes written a second, and per cent of one thread's time."""

    producer_byte_rate: float
    request_percentage: float


OF_A_DISTRICT = Quota(producer_byte_rate=2 * 1024 * 1024, request_percentage=25)
"""Forty days of the largest district in about a minute. Whoever is faster is slowed down, never refused."""


def user_of(district: str) -> str:
    """Name the district's user."""
    return DISTRICT + district


def users(districts: Iterable[str]) -> tuple[str, ...]:
    """Name everybody who may sign in."""
    return (*SERVICES, AUDITOR, OPERATOR, *map(user_of, districts))


def quotas(districts: Iterable[str]) -> dict[str, Quota]:
    """Give each district's limits by user; services are never slowed down."""
    return {user_of(district): OF_A_DISTRICT for district in districts}


def rules(districts: Iterable[str], *, database: str) -> frozenset[Rule]:
    """Give every rule there is to be. `database` is the one whose outboxes name the services' exclusive senders."""
    return frozenset(
        [
            *(rule for service in SERVICES for rule in _of_service(service, database)),
            *_of_ingest(),
            *_of_auditor(),
            *_of_operator(),
            *(rule for district in districts for rule in _of_district(district)),
        ]
    )


def readers_of(topic: Topic) -> frozenset[str]:
    """Name who may read the topic: who consumes it, its producer where it reads its own words again, who watches."""
    read_back = {topic.producer} if topic.read_back or topic.name in CLEARED else set()
    # Names are for the two services that need them, and for nobody who looks after the machines.
    watching = set() if topic.names_families else {OPERATOR}
    auditing = {AUDITOR} if topic.name in AUDITED else set()
    return frozenset({*topic.consumers, *read_back, *watching, *auditing})


def _of_service(service: str, database: str) -> Iterable[Rule]:
    for topic in TOPICS:
        if service in readers_of(topic):
            yield Rule(service, Operation.READ, Kind.TOPIC, topic.name)
        if service == topic.producer:
            yield Rule(service, Operation.WRITE, Kind.TOPIC, topic.name)
    if all(topic.producer != service for topic in TOPICS):
        # Every service has a producer, which Kafka numbers at its start; who may write any topic may be numbered.
        yield Rule(service, Operation.BE_NUMBERED, Kind.CLUSTER, CLUSTER)
    for group in GROUPS[service]:
        yield Rule(service, Operation.READ, Kind.GROUP, group)
    for group in PACED_BY.get(service, ()):
        yield Rule(service, Operation.DESCRIBE, Kind.GROUP, group)
    # By this name a relay shuts out its predecessor: whoever else could take it would shut out the relay.
    sender = f"{database}.{service}.outbox"
    yield Rule(service, Operation.WRITE, Kind.SENDER, sender)
    yield Rule(service, Operation.DESCRIBE, Kind.SENDER, sender)


def _of_ingest() -> Iterable[Rule]:
    # By prefix: a new district's topics are read, and its uploads written, as soon as the file names it.
    for prefix in LANDING:
        yield Rule("ingest", Operation.READ, Kind.TOPIC, prefix, is_prefix=True)
        yield Rule("ingest", Operation.WRITE, Kind.TOPIC, prefix, is_prefix=True)
        # What a family asks to be forgotten is cut away. Kafka has one rule for records and for the whole topic.
        yield Rule("ingest", Operation.DELETE, Kind.TOPIC, prefix, is_prefix=True)
    yield Rule("ingest", Operation.DELETE, Kind.TOPIC, REJECTED)


def _of_auditor() -> Iterable[Rule]:
    for prefix in LANDING:
        yield Rule(AUDITOR, Operation.READ, Kind.TOPIC, prefix, is_prefix=True)
    for name in AUDITED:
        yield Rule(AUDITOR, Operation.READ, Kind.TOPIC, name)


def _of_operator() -> Iterable[Rule]:
    # It looks and changes nothing: who lays out the broker signs in as the broker itself.
    places = [(Kind.CLUSTER, CLUSTER, False, False)]
    places += [(Kind.TOPIC, topic.name, False, OPERATOR in readers_of(topic)) for topic in TOPICS]
    places += [(Kind.TOPIC, prefix, True, True) for prefix in LANDING]
    for kind, name, is_prefix, may_read in places:
        for operation in (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS, *([Operation.READ] if may_read else [])):
            yield Rule(OPERATOR, operation, kind, name, is_prefix)


def _of_district(district: str) -> Iterable[Rule]:
    # By its whole name: what begins with `attendance-in-windsor` may be Windsor Locks'.
    for name in landing_topics(district):
        yield Rule(user_of(district), Operation.WRITE, Kind.TOPIC, name)
        yield Rule(user_of(district), Operation.DESCRIBE, Kind.TOPIC, name)
