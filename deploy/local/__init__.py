"""The parts of the system on one machine, for `leap up` and the tests alike."""

from deploy.local.broker import door_of, start_broker
from deploy.local.database import (
    auditor_may_read,
    let_look,
    provision,
    provision_auditor,
    provision_onlooker,
    start_database,
)
from deploy.local.found import part_from
from deploy.local.parts import Given, Part, PartFailed, PartMissing, Process, free_port
from deploy.local.services import AUDIT_PORT, HTTP_PORTS, start_auditor, start_service
from deploy.local.topics import create_topics, districts_of

__all__ = [
    "AUDIT_PORT",
    "HTTP_PORTS",
    "Given",
    "Part",
    "PartFailed",
    "PartMissing",
    "Process",
    "auditor_may_read",
    "create_topics",
    "districts_of",
    "door_of",
    "free_port",
    "let_look",
    "part_from",
    "provision",
    "provision_auditor",
    "provision_onlooker",
    "start_auditor",
    "start_broker",
    "start_database",
    "start_service",
]
