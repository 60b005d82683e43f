"""What is written besides code: docstrings begin with the verb, and nothing comes in that no commit should bring."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import stock
from tests.architecture.checks import ROOT, names_of_the_tree
from tests.architecture.docstrings import not_verbs


def test_docstrings_begin_with_the_verb() -> None:
    assert not_verbs(ROOT) == []


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        ("This will count marks.", "the refrain goes without saying"),
        ("This function counts marks.", "the refrain goes without saying"),
        ("Returns the marks.", "'Returns' is no imperative"),
        ("Counts, per school, marks.", "'Counts' is no imperative"),
        ("The marks of a school.", "'The' begins no verb"),
        ("Whether there are marks.", "'Whether' begins no verb"),
        ("What the school sent.", "'What' begins no verb"),
    ],
)
@pytest.mark.parametrize("place", ["def marks():", "class School:\n    async def marks(self):"])
def test_a_docstring_that_does_not_is_found(tmp_path: Path, place: str, first: str, complaint: str) -> None:
    found = not_verbs(documented(tmp_path, "services/flagging/store/reads.py", place, first))

    assert [each.split(": ", 1)[1] for each in found] == [complaint]


@pytest.mark.parametrize("place", ["", "class Marks:", "class School:\n    @property\n    def marks(self):"])
def test_what_says_what_it_is_may_begin_with_a_noun_but_not_with_the_refrain(tmp_path: Path, place: str) -> None:
    path = "contracts/events/marks.py"

    assert not_verbs(documented(tmp_path, path, place, "The marks of a school.")) == []
    assert len(not_verbs(documented(tmp_path, path, place, "This will hold marks."))) == 1


@pytest.mark.parametrize(
    "first", ["Count marks.", "Address the school.", "Focus, then count.", "Say whether it is so."]
)
def test_a_verb_is_let_through(tmp_path: Path, first: str) -> None:
    assert not_verbs(documented(tmp_path, "deploy/cli.py", "def marks():", first)) == []


@pytest.mark.parametrize(
    ("first", "found"), [("The marks of a school.", 0), ("Returns the marks.", 1), ("This will return marks.", 1)]
)
def test_builders_of_tests_may_say_what_they_give(tmp_path: Path, first: str, found: int) -> None:
    assert len(not_verbs(documented(tmp_path, "tests/builders.py", "def marks():", first))) == found


def documented(root: Path, path: str, place: str, text: str) -> Path:
    """Write one file of a made-up tree, the docstring behind what `place` begins, and return the tree."""
    indent = " " * 4 * (place.count(":\n") + bool(place))
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(f'{place}\n{indent}"""{text}"""\n', encoding="utf-8")
    return root


def test_nothing_large_secret_or_half_merged_is_in_the_tree() -> None:
    assert stock.problems(ROOT, names_of_the_tree(ROOT)) == []


def test_a_large_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\xff" * (stock.MOST_BYTES + 1))
    (tmp_path / "b.bin").write_bytes(b"\xff" * stock.MOST_BYTES)

    assert stock.problems(tmp_path, ["a.bin", "b.bin", "gone.bin"]) == [f"a.bin: {stock.MOST_BYTES + 1} bytes"]


# Put together here, so that this file begins no key and marks no conflict.
@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_found_and_a_public_one_is_not(kind: str) -> None:
    key = "-----BEGIN " + kind + "PRIVATE KEY-----"
    text = f"first\n{key}\nMIIE\n-----BEGIN PUBLIC KEY-----\n-----BEGIN CERTIFICATE-----\n"

    assert stock.private_keys([("key.pem", text)]) == ["key.pem:2: begins a private key"]


def test_the_marks_of_an_unfinished_merge_are_found_and_an_underline_is_not() -> None:
    text = "Title\n=======\n" + "<" * 7 + " ours\na\n=======\nb\n" + ">" * 7 + " theirs\n"

    assert stock.merge_marks([("a.md", text)]) == ["a.md:3: marks a conflict", "a.md:7: marks a conflict"]


def test_the_command_says_what_it_found_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("<" * 7 + " ours\n")
    (tmp_path / "b.md").write_text("calm\n")
    first, second = (
        subprocess.run(
            [sys.executable, "-m", "tests.architecture.stock", tmp_path / name],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )
        for name in ("a.md", "b.md")
    )  # fmt: skip

    assert (first.returncode, first.stderr.strip()) == (1, f"{tmp_path}/a.md:1: marks a conflict")
    assert (second.returncode, second.stderr) == (0, "")


@pytest.mark.parametrize(("text", "code"), [("to rec" + "ieve a roll", 65), ("to receive a roll", 0)])
def test_a_misspelt_word_is_found(tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / "a.md").write_text(text)
    spelt = subprocess.run(
        [Path(sys.executable).with_name("codespell"), tmp_path / "a.md"], cwd=ROOT, capture_output=True, check=False
    )
    assert spelt.returncode == code
