"""When a container counts as ready, as far as that can be told without a daemon."""

import re

from deploy.local.containers import POSTGRES_READY

# What the image of PostgreSQL logs: a first server that only its own set-up reaches, then the one that is meant.
SET_UP = """\
LOG:  listening on Unix socket "/var/run/postgresql/.s.PGSQL.5432"
LOG:  database system is ready to accept connections
LOG:  received fast shutdown request
"""
LISTENING = 'LOG:  listening on IPv4 address "0.0.0.0", port 21000\nLOG:  listening on IPv6 address "::", port 21000\n'
ANSWERING = "LOG:  database system was shut down\nLOG:  database system is ready to accept connections\n"


def times_ready(log: str) -> int:
    return len(re.findall(POSTGRES_READY, log, re.DOTALL))


def test_postgresql_is_ready_when_it_answers_and_not_when_it_begins_to_listen() -> None:
    assert times_ready(SET_UP) == 0
    assert times_ready(SET_UP + LISTENING) == 0
    assert times_ready(SET_UP + LISTENING + ANSWERING) == 1


def test_a_second_start_is_not_taken_for_ready_because_of_the_first() -> None:
    first = SET_UP + LISTENING + ANSWERING
    assert times_ready(first + LISTENING) == 1
    assert times_ready(first + LISTENING + ANSWERING) == 2
