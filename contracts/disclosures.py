"""What people are shown of families, and why: the closed lists by which every service records it."""

from enum import StrEnum


class What(StrEnum):
    """What an answer shows."""

    NAME = "name"
    CONTACT = "contact"  # the name, and how to reach the family
    WORDS = "words"  # what was said at a visit
    NOTE = "note"  # the private note to the coordinator
    DAYS = "days"  # a child's days, or their figures
    VISITS = "visits"  # that a family was visited, and when


class Purpose(StrEnum):
    """Why somebody may be shown it: the legitimate interest of their work."""

    ARRANGE = "arrange"  # a visit is offered and agreed
    FIND = "find"  # a family was looked for by name, phone or reference
    SHEET = "sheet"  # visitors take it along
    CONFIRM = "confirm"  # the family is written to
    OWN_VISIT = "own_visit"  # the visitor's own
    COORDINATE = "coordinate"  # the district's visits are coordinated
    PAY = "pay"
    EXPLAIN = "explain"  # why a child is flagged
    ANSWER = "answer"  # a family asks what is held and who saw it


SEARCH, PAYROLL = "search", "payroll"
"""Doors of their own; the others are named by how somebody came: page, api, command."""
