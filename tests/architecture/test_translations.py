"""Nobody reads half a page: every sentence of every service stands in every language, and none is left over."""

from pathlib import Path

import pytest
from babel.messages import Catalog

from services.runtime.web.languages import OWN_TRANSLATIONS
from tests.architecture.checks import ROOT, python_files
from tests.architecture.translations import Sentence, catalogue, gaps, leftovers, sentences_of

LANGUAGES = ("es",)
RUNTIME = ROOT / "services" / "runtime"


def pages_of(service: Path) -> bool:
    """Tell whether the service shows pages."""
    return any("services.runtime.web.pages" in path.read_text(encoding="utf-8") for path in python_files(service))


SERVICES = sorted(
    path for path in (ROOT / "services").iterdir() if path != RUNTIME and path.is_dir() and pages_of(path)
)


def own_catalogue(service: Path, language: str) -> Catalog:
    """Read what a service brings; its folder may stand beside its pages or above them."""
    found = list(service.glob(f"**/translations/{language}/LC_MESSAGES/*.po"))
    assert len(found) == 1, f"{service.name}: one catalogue for {language}, not {len(found)}"
    return catalogue(found[0])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_runtime_is_translated(language: str) -> None:
    own = catalogue(OWN_TRANSLATIONS / language / "LC_MESSAGES" / "runtime.po")
    said = sentences_of(RUNTIME)
    assert len(said) > 20
    assert gaps(said, own) == []
    assert leftovers(said, own) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_every_sentence_of_a_service_is_translated(service: Path, language: str) -> None:
    own = own_catalogue(service, language)
    shared = catalogue(OWN_TRANSLATIONS / language / "LC_MESSAGES" / "runtime.po")
    said = sentences_of(service)
    assert gaps(said, own, shared) == []
    assert leftovers(said, own) == []


PO = """
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Notes"
msgstr "Notas"

#, fuzzy
msgid "Visits"
msgstr "Visitas"

msgid "Hello, %(name)s"
msgstr "Hola, %(nombre)s"

msgid "%(share)s %% missed"
msgstr "%(share)s % de faltas"

msgid "Empty"
msgstr ""

msgid "%(num)s note"
msgid_plural "%(num)s notes"
msgstr[0] "una nota"
msgstr[1] "%(num)s notas"
"""


def test_the_check_finds_what_is_missing_guessed_empty_and_miswritten(tmp_path: Path) -> None:
    (tmp_path / "es.po").write_text(PO.strip())
    own = catalogue(tmp_path / "es.po")
    said: set[Sentence] = {"Notes", "Visits", "Hello, %(name)s", "%(share)s %% missed", "Empty", "New"}
    found = gaps(said | {("%(num)s note", "%(num)s notes")}, own)
    assert [complaint.partition(":")[0] for complaint in found] == [
        "'%(share)s %% missed'", "'Empty'", "'Hello, %(name)s'", "'New'", "'Visits'",
    ]  # fmt: skip
    assert len(leftovers({"Notes"}, own)) == 5


def test_the_check_reads_code_and_templates(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.html").write_text(
        "{{ _('One') }}{{ ngettext('%(num)s two', '%(num)s twos', n) }}{% trans name=x %}Three {{ name }}{% endtrans %}"
    )
    (tmp_path / "b.py").write_text("N_('Four')\nlanguage.gettext('Five %(n)s', n=1)\nlanguage.ngettext('1', 'n', 2)\n")
    assert sentences_of(tmp_path) == {
        "One", ("%(num)s two", "%(num)s twos"), "Three %(name)s", "Four", "Five %(n)s", ("1", "n"),
    }  # fmt: skip


def test_services_with_pages_are_looked_at() -> None:
    assert {path.name for path in SERVICES} >= {"scheduling"}
