"""What a reader of another language would find untranslated, as a function of a service's folder and a catalogue."""

import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")

Sentence = str | tuple[str, ...]


def sentences_of(folder: Path) -> set[Sentence]:
    """Find every sentence that the folder's code and templates give to a reader."""
    return {
        sentence
        for _, _, sentence, _, _ in extract_from_dir(str(folder), METHODS, keywords=KEYWORDS)
        if sentence not in ("", ("",))
    }


def catalogue(path: Path) -> Catalog:
    """Read a catalogue; an empty one where there is none."""
    if not path.exists():
        return Catalog()
    with path.open("rb") as file:
        return read_po(file, abort_invalid=True)


def gaps(sentences: set[Sentence], *catalogues: Catalog) -> list[str]:
    """Name every sentence without a sure translation in any of the catalogues."""
    return sorted(complaint for sentence in sentences for complaint in _gaps_of(sentence, catalogues))


def leftovers(sentences: set[Sentence], catalogue: Catalog) -> list[str]:
    """Name every translation of a sentence that nobody says any more."""
    return sorted(str(message.id) for message in catalogue if message.id and message.id not in sentences)


def _gaps_of(sentence: Sentence, catalogues: tuple[Catalog, ...]) -> Iterator[str]:
    key = sentence if isinstance(sentence, str) else sentence[0]
    message = next((found for each in catalogues if (found := each.get(key)) is not None), None)
    if message is None or message.id != sentence:
        yield f"{key!r}: not translated"
    elif message.fuzzy:
        yield f"{key!r}: only guessed (fuzzy)"
    else:
        yield from _faults_of(message)


def _faults_of(message: Message) -> Iterator[str]:
    said = (message.id,) if isinstance(message.id, str) else tuple(message.id)
    translated = (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))
    if not all(translated):
        yield f"{said[0]!r}: translated by nothing"
        return
    wanted = {name for text in said for name in _PLACEHOLDER.findall(text)}
    for text in translated:
        # What is formatted in one language is in the other: a lone % is a page that fails.
        if any("%(" in each or "%%" in each for each in said) and not _formats(text):
            yield f"{said[0]!r}: a lone % in {text!r}"
        found = set(_PLACEHOLDER.findall(text))
        # One of a pair may leave the number out: "one visit".
        missing = wanted - found if len(said) == 1 else wanted - found - {"num"}
        if missing or found - wanted:
            yield f"{said[0]!r}: other placeholders in {text!r}"


def _formats(text: str) -> bool:
    try:
        text % dict.fromkeys(_PLACEHOLDER.findall(text), 0)
    except (ValueError, TypeError, KeyError):
        return False
    return True
