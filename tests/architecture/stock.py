"""What no commit may bring, whatever it is about: a large file, a private key, the marks of an unfinished merge.

python -m tests.architecture.stock [FILE ...]    without a file, all that git knows or would add; 1 where it found any
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.architecture.checks import ROOT, names_of_the_tree, read_texts

# The largest we have are locked requirements; whatever is larger is an artefact, and stays in every clone for ever.
MOST_BYTES = 300_000
# Split, so that this file is none of them.
_PRIVATE_KEY = re.compile("-----BEGIN" + r" ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-" + "File-")
_MERGE_MARK = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)


def large_files(root: Path, names: Iterable[str], *, most_bytes: int = MOST_BYTES) -> list[str]:
    """Name each file that is larger than a source is."""
    sizes = ((name, (root / name).stat().st_size) for name in names if (root / name).is_file())
    return [f"{name}: {size} bytes" for name, size in sizes if size > most_bytes]


def private_keys(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Name each line that begins a private key, in any of the forms that OpenSSL, OpenSSH, PGP and PuTTY write."""
    return _found(texts, _PRIVATE_KEY, "begins a private key")


def merge_marks(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Name each line by which git marks where it could not merge."""
    return _found(texts, _MERGE_MARK, "marks a conflict")


def _found(texts: Iterable[tuple[str, str]], pattern: re.Pattern[str], complaint: str) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {complaint}"
        for name, text in texts
        for match in pattern.finditer(text)
    ]


def problems(root: Path, names: Iterable[str]) -> list[str]:
    """Say everything that these files, named from `root`, may not bring."""
    names = list(names)
    texts = read_texts(root, names)
    return large_files(root, names) + private_keys(texts) + merge_marks(texts)


if __name__ == "__main__":
    found = problems(ROOT, sys.argv[1:] or names_of_the_tree(ROOT))
    sys.exit("\n".join(found) or 0)
