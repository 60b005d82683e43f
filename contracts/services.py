"""The services, each in one sentence. Every other list of them is made from this one.

A new service is an entry at the end (its port on one machine follows from its place) and its folder below `services/`.
"""

SERVICES = {
    "ingest": "What districts send becomes facts on attendance, enrolments, calendars and contacts.",
    "flagging": "Who is chronically absent, or begins to be, and since when.",
    "scheduling": "A flag becomes a request, and a request becomes an agreed visit.",
    "visitlog": "What happened at the door, and what was promised there.",
    "reporting": "Numbers, each defined once, from what the other services said.",
}
