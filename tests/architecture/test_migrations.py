"""New migrations stop no running table: the check finds each way to do so, and lets what is harmless pass."""

from pathlib import Path

import pytest

from services.runtime.revision import number_of
from tests.architecture import migrations
from tests.architecture.checks import ROOT


def written(root: Path, name: str, text: str) -> list[str]:
    """Write one new file of a made-up service, and ask what is wrong with it."""
    folder = root / "services" / "mentoring" / "migrations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return migrations.problems(migrations.folders_of(root))


def test_no_new_file_here_stops_a_table() -> None:
    assert migrations.problems(migrations.folders_of(ROOT)) == []


def test_who_is_exempt_stood_before_the_check_and_is_all_that_did() -> None:
    for folder in migrations.folders_of(ROOT):
        numbers = {number_of(file.name) for file in folder.glob("*.sql")}
        assert migrations.BEFORE[folder.parent.name] in numbers


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("0001_x.sql", "CREATE INDEX mentor_by_name ON mentor (name);", "table updates are blocked"),
        ("0001_x.sql", "ALTER TABLE mentor ALTER COLUMN id TYPE bigint;", "ACCESS EXCLUSIVE"),
        ("0001_x.sql", "ALTER TABLE mentor ADD COLUMN seen timestamptz NOT NULL DEFAULT clock_timestamp();", "rewrite"),
        ("0001_x.sql", "ALTER TABLE mentor ADD COLUMN school text NOT NULL;", "NOT NULL"),
        ("0001_x.sql", "ALTER TABLE mentor ALTER COLUMN school SET NOT NULL;", "table is scanned"),
        ("0001_x.sql", "ALTER TABLE mentor ADD CONSTRAINT named CHECK (name <> '');", "table"),
        (
            "0001_x.sql",
            "ALTER TABLE mentor ADD CONSTRAINT of_school FOREIGN KEY (school) REFERENCES school (code);",
            "block",
        ),
        ("0001_x.sql", "DROP INDEX mentor_by_name;", "blocking"),
        ("0001_x.sql", "ALTER TABLE mentor DROP COLUMN name;", "break existing clients"),
        ("0001_x.sql", "DROP TABLE mentor;", "break existing clients"),
        ("0001_x.sql", "ALTER TABLE mentor RENAME COLUMN name TO title;", "break existing clients"),
        ("0001_x.sql", "ALTER TABLE mentor RENAME TO guide;", "break existing clients"),
        ("0001_post_x.sql", "ALTER TABLE mentor RENAME TO guide;", "break existing clients"),
        (
            "0001_x.sql",
            "ALTER TABLE mentor ADD COLUMN school text;\nUPDATE mentor SET school = '';",
            "holds mentor for as long as rows are changed",
        ),
        ("0001_x.sql", "CREATE INDEX CONCURRENTLY mentor_by_name ON mentor (name);", "go together"),
        ("0001_x.sql", "-- outside a transaction\nALTER TABLE mentor ADD COLUMN school text;", "go together"),
        (
            "0001_x.sql",
            "-- outside a transaction\nCREATE INDEX CONCURRENTLY a ON mentor (a);\n"
            "CREATE INDEX CONCURRENTLY b ON mentor (b);\n",
            "one statement",
        ),
        ("0001-post-x.sql", "SELECT 1;", "named otherwise"),
    ],
)
def test_what_stops_a_table_or_the_program_before_is_found(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    found = written(tmp_path, name, text + "\n")
    assert any(line.startswith(f"mentoring/{name}") and complaint in line for line in found), found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "0001_x.sql",
            "CREATE TABLE mentor (id uuid PRIMARY KEY, name text NOT NULL, taught integer NOT NULL);\n"
            "CREATE INDEX mentor_by_name ON mentor (name);\nALTER TABLE mentor SET (fillfactor = 50);\n"
            "UPDATE mentor SET name = '';\n",
        ),
        ("0001_pre_x.sql", "ALTER TABLE mentor ADD COLUMN school text;\n"),
        ("0001_x.sql", "ALTER TABLE mentor ADD COLUMN days integer NOT NULL DEFAULT 0;\n"),
        ("0001_x.sql", "UPDATE mentor SET school = '' WHERE school IS NULL;\n"),
        ("0001_x.sql", "ALTER TABLE mentor ADD CONSTRAINT named CHECK (name <> '') NOT VALID;\n"),
        ("0001_x.sql", "-- outside a transaction\nCREATE INDEX CONCURRENTLY mentor_by_name ON mentor (name);\n"),
        ("0001_post_x.sql", "ALTER TABLE mentor DROP COLUMN name;\nDROP TABLE guide;\nDROP FUNCTION named();\n"),
        (
            "0001_post_x.sql",
            "-- Empty since the release before.\n-- squawk-ignore adding-not-nullable-field\n"
            "ALTER TABLE mentor ALTER COLUMN school SET NOT NULL;\n",
        ),
    ],
)
def test_what_stops_nobody_passes(tmp_path: Path, name: str, text: str) -> None:
    assert written(tmp_path, name, text) == []


def test_what_stood_before_the_check_is_exempt_and_the_next_file_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(migrations.BEFORE, "mentoring", 1)
    assert written(tmp_path, "0001_x.sql", "DROP TABLE mentor;\n") == []
    assert written(tmp_path, "0002_x.sql", "DROP TABLE guide;\n") != []
