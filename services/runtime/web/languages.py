"""The words of a page in the reader's language, from gettext catalogues that stay text until a service starts."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

SOURCE = "en"
OWN_TRANSLATIONS = Path(__file__).parent / "translations"

# Dates and numbers as people here write them, in either language.
_LOCALES = {"en": "en_US", "es": "es_US"}


def N_(text: str) -> str:
    """Mark a sentence for the catalogue where it is translated later, by `_()` with a variable."""
    return text


class Language:
    """One language's words and ways of writing."""

    def __init__(self, code: str, catalogues: Iterable[Path]) -> None:
        self.code = code
        self.locale = Locale.parse(_LOCALES.get(code, code))
        self.direction = "rtl" if self.locale.character_order == "right-to-left" else "ltr"
        name = Locale.parse(code).get_display_name() or code
        self.name = name[0].upper() + name[1:]
        self.words = Translations()
        for catalogue in catalogues:
            self.words.merge(_compiled(catalogue))

    def gettext(self, text: str, **values: object) -> str:
        """Translate a sentence and fill in its %(named)s values."""
        return self._filled(self.words.gettext(text), values)

    def ngettext(self, one: str, many: str, count: int, **values: object) -> str:
        """Translate a sentence that depends on a count, which fills %(num)s."""
        return self._filled(self.words.ngettext(one, many, count), {"num": count, **values})

    @staticmethod
    def _filled(text: str, values: Mapping[str, object]) -> str:
        return text % values if values else text


def languages(translations: Path) -> dict[str, Language]:
    """Load English and every language the folder has a catalogue of, with the runtime's own words."""
    found = {SOURCE: Language(SOURCE, ())}
    for folder in sorted(translations.glob("*/LC_MESSAGES")):
        code = folder.parent.name
        own = OWN_TRANSLATIONS / code / "LC_MESSAGES"
        found[code] = Language(code, (*own.glob("*.po"), *sorted(folder.glob("*.po"))))
    return found


def chosen_language(known: Mapping[str, Language], *, cookie: str, person: str, accepted: str) -> Language:
    """Choose: what was clicked, else the person's own, else what the browser accepts, else English."""
    for code in (cookie, person, *_accepted_codes(accepted)):
        if code in known:
            return known[code]
    return known[SOURCE]


def _accepted_codes(header: str) -> list[str]:
    weighted = []
    for position, part in enumerate(header[:500].split(",")):
        code, _, weight = part.strip().partition(";q=")
        try:
            weighted.append((-float(weight or 1), position, code.split("-")[0].lower()))
        except ValueError:
            continue
    return [code for weight, _, code in sorted(weighted) if weight < 0]


def _compiled(catalogue: Path) -> Translations:
    with catalogue.open("rb") as file:
        read = read_po(file)
    compiled = BytesIO()
    write_mo(compiled, read)
    compiled.seek(0)
    return Translations(compiled)
