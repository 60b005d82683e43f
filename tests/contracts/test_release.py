"""`make release` in a clone: all that it does, and everything it refuses, after which nothing has changed."""

import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from contracts import release, released
from tests.contracts.spoilt import FLAGGING, PEOPLE, ROOT, commit, copied_to, edit, run

ON = date(2026, 12, 1)
NEW = f"{FLAGGING}/0099_pre_more.sql"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a tree with one migration that is not released, and news in the CHANGELOG."""
    origin = copied_to(tmp_path / "origin")
    for name in ("pyproject.toml", "CHANGELOG.md", "deploy/Dockerfile", "Makefile"):
        (origin / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    (origin / "CHANGELOG.md").write_text("# What changed\n\n## Unreleased\n\n- More.\n\n## 0.1.0\n\nThe first.\n")
    (origin / ".gitignore").write_text("__pycache__/\n")
    (origin / NEW).write_text("ALTER TABLE flag ADD COLUMN more text;\n")
    git_in(origin, "init", "-q", "-b", "main")
    commit(origin)
    git_in(tmp_path, "clone", "-q", str(origin), str(tmp_path / "clone"))
    for name, value in (("user.name", "test"), ("user.email", "test@example.org")):
        git_in(tmp_path / "clone", "config", name, value)
    return tmp_path / "clone"


def git_in(tree: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(tree), *PEOPLE, *arguments], check=True, capture_output=True, text=True
    ).stdout


def state(tree: Path) -> tuple[str, str, str]:
    """Tell everything that a release changes."""
    return git_in(tree, "rev-parse", "HEAD"), git_in(tree, "status", "--porcelain"), git_in(tree, "tag")


def version_after(tree: Path) -> str:
    major, minor, patch = map(int, release.current_version(tree).split("."))
    return f"{major}.{minor + 1}.{patch}"


def test_a_release_is_a_version_a_date_a_list_a_commit_and_a_tag(clone: Path) -> None:
    version = version_after(clone)
    ran = run(clone, "contracts.release", version)

    assert ran.returncode == 0, ran.stderr
    assert f"released: {NEW}\n" in ran.stdout
    assert f"git push origin main v{version}" in ran.stdout
    assert git_in(clone, "status", "--porcelain") == ""
    assert git_in(clone, "log", "-1", "--format=%s").strip() == f"Release {version}"
    assert git_in(clone, "rev-parse", f"v{version}^{{commit}}") == git_in(clone, "rev-parse", "HEAD")
    assert f'version = "{version}"' in (clone / "pyproject.toml").read_text()
    assert f'image.version="{version}"' in (clone / "deploy/Dockerfile").read_text()
    assert released.read_list(clone / "contracts")[-1].what == "migrations/flagging/0099_pre_more.sql"
    assert released.unreleased(clone / "contracts") == {}
    # Nothing is pushed.
    assert git_in(clone.parent / "origin", "tag") == ""


def test_what_was_unreleased_stands_under_the_version_and_a_new_heading_waits(clone: Path) -> None:
    version = version_after(clone)
    release.release(clone, version, on=ON)

    text = (clone / "CHANGELOG.md").read_text()
    assert f"## Unreleased\n\n## {version} (2026-12-01)\n\n- More.\n\n## 0.1.0\n" in text
    assert release.news(clone) == ""
    with pytest.raises(release.ReleaseRefused, match="says nothing"):
        release.release(clone, version_after(clone), on=ON)


@pytest.mark.parametrize("version", ["", "next", "1.2", "v9.9.9", "0.0.9", "0.1.0"])
def test_a_version_that_is_none_or_not_newer_is_refused(clone: Path, version: str) -> None:
    before = state(clone)
    ran = run(clone, "contracts.release", version)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "is no version" in ran.stderr or "is not newer than" in ran.stderr
    assert state(clone) == before


def test_another_branch_a_changed_tree_and_a_tag_that_exists_are_refused(clone: Path) -> None:
    version = version_after(clone)
    git_in(clone, "switch", "-q", "-c", "work")
    with pytest.raises(release.ReleaseRefused, match="this is work: releases are made on main"):
        release.release(clone, version, on=ON)
    git_in(clone, "switch", "-q", "main")

    (clone / "new.txt").write_text("x")
    with pytest.raises(release.ReleaseRefused, match=r"commit or put away first: new\.txt"):
        release.release(clone, version, on=ON)
    (clone / "new.txt").unlink()

    git_in(clone, "tag", f"v{version}")
    before = state(clone)
    with pytest.raises(release.ReleaseRefused, match="exists: take the next version"):
        release.release(clone, version, on=ON)
    assert state(clone) == before


def test_what_breaks_what_was_released_is_not_released(clone: Path) -> None:
    edit(clone, f"{FLAGGING}/0001_absence.sql", "CREATE TABLE flag", "CREATE TABLE  flag")
    commit(clone)
    before = state(clone)
    with pytest.raises(release.ReleaseRefused, match="edited after it was released"):
        release.release(clone, version_after(clone), on=ON)
    assert state(clone) == before


@pytest.mark.parametrize("name", ["deploy/Dockerfile", "CHANGELOG.md"])
def test_a_place_that_lost_its_version_is_named_before_anything_is_written(clone: Path, name: str) -> None:
    (clone / name).write_text("## Unreleased \n- no\n" if name == "CHANGELOG.md" else "FROM scratch\n")
    commit(clone)
    before = state(clone)
    with pytest.raises(release.ReleaseRefused, match=name.rpartition("/")[2]):
        release.release(clone, version_after(clone), on=ON)
    assert state(clone) == before


def test_a_commit_that_a_hook_refuses_leaves_the_tree_as_it_was(clone: Path) -> None:
    hook = clone / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho 'not today' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = state(clone)
    with pytest.raises(release.ReleaseRefused, match="not today"):
        release.release(clone, version_after(clone), on=ON)
    assert state(clone) == before


def test_whether_it_could_be_done_is_asked_before_the_checks_which_come_before_the_release(clone: Path) -> None:
    version = version_after(clone)
    before = state(clone)
    assert run(clone, "contracts.release", "--ready", version).returncode == 0
    assert state(clone) == before

    asked = ["make", "--dry-run", "release", f"VERSION={version}"]
    steps = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    order = [steps.index(each) for each in ("release --ready", "ruff check", f'contracts.release "{version}"')]
    assert order == sorted(order)


def test_the_page_on_releases_names_tests_and_modules_that_exist() -> None:
    text = (ROOT / "RELEASING.md").read_text()
    tests = {file.name for file in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"\btest_\w+\.py", text)) <= tests
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).is_file(), path
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
