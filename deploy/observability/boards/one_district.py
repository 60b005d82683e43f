"""A district calls."""

from deploy.observability.panel import DISTRICT, Board, asks

_ONE = f'district="{DISTRICT}"'

ONE_DISTRICT = Board(
    uid="leap-district",
    title="One district",
    purpose="A district calls: does what it sends arrive, count, and reach its desk?",
    by_district=True,
    panels=(
        asks(
            "How many of its schools have reported today?",
            ("reported", f"max(leap_schools_reported{{{_ONE}}})"),
            ("expected", f"max(leap_schools_expected{{{_ONE}}})"),
            reading="Expected by the schools' own calendars; 0 on a holiday.",
            kind="number",
            width=6,
        ),
        asks(
            "Is every record accounted for?",
            ("{{hop}}", f"leap:conservation_gap:records{{{_ONE}}}"),
            reading="Per hop; 0 is well.",
            kind="number",
            width=6,
            well_below=1,
        ),
        asks(
            "How many students are flagged?",
            ("flagged", f"max(leap_flags{{{_ONE}}})"),
            ("at the desk", f"max(leap_desk_flags{{{_ONE}}})"),
            reading="Standing flags of this school year, as flagging and the desk know them.",
            kind="number",
            width=6,
        ),
        asks(
            "How many schools have no calendar?",
            ("schools", f"max(leap_schools_without_calendar{{{_ONE}}})"),
            reading="Their silence can't be told from a holiday.",
            kind="number",
            width=6,
            well_below=1,
        ),
        asks(
            "How many rolls are overdue?",
            ("school days", f"max(leap_rolls_waiting{{{_ONE}}})"),
            reading="Marks came and three school days passed; they count once the roll is complete.",
            kind="number",
            width=6,
            well_below=1,
        ),
        asks(
            "What does it send?",
            ("{{kind}}", f"max by (kind) (rate(leap_landed_total{{{_ONE}}}[5m]))"),
            reading="Landed records a second by what they were, and the marks of landed rolls; 'rejected' went back.",
            unit="cps",
        ),
        asks(
            "Does it count?",
            ("{{effect}}", f"max by (effect) (rate(leap_marks_total{{{_ONE}}}[5m]))"),
            reading="Marks a second that changed something, and marks that were known.",
            unit="cps",
        ),
        asks(
            "Why do records go back?",
            ("{{reason}}", f"sum by (reason) (leap_rejected_total{{{_ONE}}}) or vector(0)"),
            reading="Rejected since the processes started, by reason.",
            kind="bars",
        ),
        asks(
            "Do its records wait at the door?",
            ("{{topic}}", f'sum by (topic) (leap_lag_records{{group="leap-ingest",topic=~".*-in-{DISTRICT}"}})'),
            reading="In its two landing topics.",
        ),
        asks(
            "Who waits at its desk?",
            ("{{stage}}", f"max by (stage) (leap_desk_requests{{{_ONE}}}) or vector(0)"),
            reading="Requests by stage.",
        ),
        asks(
            "How long has the oldest request waited?",
            ("{{stage}}", f"max by (stage) (leap_desk_oldest_seconds{{{_ONE}}}) or vector(0)"),
            reading="Since it was opened.",
            unit="s",
        ),
    ),
)
