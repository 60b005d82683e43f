"""Whether the tables of a service keep districts apart, as PostgreSQL's own catalogue says."""

from services.runtime.database import Connection
from services.runtime.roles import LEAP_PEOPLE

OF_THE_RUNTIME = {
    "dead_letter", "ended_owner", "former_log", "inbox", "lease", "let_go",
    "migration", "outbox", "passed_over", "position", "session",
    "stopped_partition",
}  # fmt: skip
"""Nobody's rows, and nothing that people's requests may read."""


async def unguarded(connection: Connection) -> list[str]:
    """Name each table and view that would show people rows without asking whose they are, and why."""
    tables = await connection.fetch(
        """
        SELECT relname AS name, relkind = 'v' AS is_view, relrowsecurity AND relforcerowsecurity AS is_guarded,
               coalesce('security_invoker=true' = ANY (reloptions), false) AS asks_as_reader,
               has_table_privilege($1, oid, 'SELECT') AS is_readable,
               (SELECT array_agg(polroles::regrole[]::text ORDER BY polname)
                FROM pg_policy WHERE polrelid = pg_class.oid) AS policies
        FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        ORDER BY relname
        """,
        LEAP_PEOPLE,
    )
    found = []
    for each in tables:
        name = each["name"]
        if name in OF_THE_RUNTIME:
            found += [f"{name}: people may read what is the runtime's"] if each["is_readable"] else []
        elif each["is_view"]:
            found += [] if each["asks_as_reader"] else [f"{name}: a view that reads as its owner"]
        elif not each["is_guarded"]:
            found.append(f"{name}: row-level security is off")
        elif each["policies"] != ["{leap_owner}", "{leap_people}", "{leap_service}"]:
            found.append(f"{name}: its policies are not the three of keep_apart")
    return found
