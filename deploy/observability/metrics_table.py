"""The list of metrics as a table for people, and the closed list of labels with what bounds them."""

import importlib
import importlib.util
from collections.abc import Sequence

from contracts.services import SERVICES
from deploy.audit import metrics as audit
from services.runtime.seen import telemetry
from services.runtime.seen.metric import ENTRIES, Entry

LABELS = {
    "group": "consumer group; one per subscription",
    "topic": "topic of the contracts, a district's landing topic, or `*` for all landing topics",
    "partition": "of a topic; 24 at most",
    "reason": "closed list of a service's code",
    "district": "declared districts",
    "kind": "mark, retraction, roll, roster, rejected, roll_mark, roll_mark_rejected",
    "effect": "applied, unchanged",
    "stage": "of a request at the desk",
    "role": "of people: scheduler, visitor, coordinator, auditor and so on; never a person",
    "state": "used, idle, most",
    "timer": "declared timers of a service",
    "owner": "of migrations: the service, and the runtime",
    "part": "what is measured",
    "route": "declared HTTP routes, never an address",
    "method": "HTTP method",
    "status": "HTTP status",
    "why": "head, body, unread, room, address, malformed: why a connection was ended",
    "what": "of which a person has as many as they may: stream, plan",
    "happened": "closed list in services/runtime/seen/security.py",
    "file": "people, providers",
}
"""Every label there may be, and what keeps it small. Never a student, a school, an event or a person."""


def listed() -> list[Entry]:
    """Give every metric of every service, by name: whoever was imported first changes nothing."""
    assert telemetry.RECORDS_IN is not None  # importing it has listed the runtime's
    assert audit.WRONG is not None
    for service in SERVICES:
        name = f"services.{service}.metrics"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
    return sorted(ENTRIES, key=lambda entry: entry.name)


def table(entries: Sequence[Entry]) -> str:
    """Render the list in Markdown."""
    lines = [
        "# Metrics",
        "",
        "Written by `python -m deploy.observability.generate` from `services/runtime/seen/telemetry.py` and each",
        "service's `metrics.py`, and of the auditor's: change it there.",
        "",
        "| Metric | Kind | Labels | Meaning | Buckets |",
        "|---|---|---|---|---|",
    ]
    for entry in entries:
        labels = ", ".join(entry.labels)
        buckets = ", ".join(f"{bound:g}" for bound in entry.buckets)
        lines.append(f"| `{entry.name}` | {entry.kind} | {labels} | {entry.meaning} | {buckets} |")
    lines += ["", "Besides these, every process tells `process_*` and `python_*` of itself.", "", "## Labels", ""]
    lines += [f"- `{label}`: {bound}" for label, bound in LABELS.items()]
    return "\n".join(lines) + "\n"
