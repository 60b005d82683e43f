"""The letter that tells a family of its visit, in the languages of many families. Other languages get English.

These are sentences to a family and not words of the desk, so they stand here side by side and in no catalogue.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo

from babel import Locale
from babel.dates import format_date, format_time

from services.scheduling.store.day_sheet import SheetVisit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The sentences of one language."""

    title: str
    dear: str
    opening: str
    when: str
    where: str
    who: str
    language: str
    at_home: str
    in_community: str
    interpreter: str
    what: str
    free: str
    thanks: str


_WORDS: Mapping[str, _Words] = {
    "en": _Words(
        title="Your visit from your school district",
        dear="Dear {name},",
        opening="Thank you for agreeing to a visit. Two trained visitors will come to listen and to get to know you.",
        when="When",
        where="Where",
        who="Who comes",
        language="Language",
        at_home="At your home",
        in_community="At a community place",
        interpreter="with an interpreter, at no cost",
        what="The visit is about how school is going for your children, and what would help. Nobody is in trouble.",
        free="The visit is voluntary. To move or cancel it, or to ask for another place, call your school.",
        thanks="We look forward to meeting you.",
    ),
    "es": _Words(
        title="Su visita del distrito escolar",
        dear="Estimada familia {name}:",
        opening="Gracias por aceptar una visita. Dos visitantes con formación irán a escucharles y a conocerles.",
        when="Cuándo",
        where="Dónde",
        who="Quiénes van",
        language="Idioma",
        at_home="En su casa",
        in_community="En un lugar de la comunidad",
        interpreter="con intérprete, sin costo",
        what="La visita trata de cómo les va a sus hijos en la escuela y de qué les ayudaría. Nadie está en problemas.",
        free="La visita es voluntaria. Para cambiarla, cancelarla o pedir otro lugar, llame a su escuela.",
        thanks="Será un gusto conocerles.",
    ),
    "pt": _Words(
        title="A visita do seu distrito escolar",
        dear="Prezada família {name},",
        opening="Obrigado por aceitar uma visita. Dois visitantes com formação irão ouvir e conhecer a sua família.",
        when="Quando",
        where="Onde",
        who="Quem vem",
        language="Idioma",
        at_home="Na sua casa",
        in_community="Num espaço da comunidade",
        interpreter="com intérprete, sem custo",
        what="A visita é sobre como seus filhos estão na escola e o que ajudaria. Ninguém está em apuros.",
        free="A visita é voluntária. Para mudar, cancelar ou pedir outro lugar, ligue para a sua escola.",
        thanks="Será um prazer conhecer vocês.",
    ),
    "pl": _Words(
        title="Wizyta z Państwa okręgu szkolnego",
        dear="Szanowna Rodzino {name},",
        opening="Dziękujemy za zgodę na wizytę. Przyjdą dwie przeszkolone osoby, aby Państwa wysłuchać i poznać.",
        when="Kiedy",
        where="Gdzie",
        who="Kto przyjdzie",
        language="Język",
        at_home="W Państwa domu",
        in_community="W miejscu w okolicy",
        interpreter="z tłumaczem, bezpłatnie",
        what="Porozmawiamy o tym, jak dzieciom idzie w szkole i co mogłoby pomóc. Nikt nie ma kłopotów.",
        free="Wizyta jest dobrowolna. Aby ją przełożyć, odwołać lub zmienić miejsce, proszę zadzwonić do szkoły.",
        thanks="Cieszymy się na spotkanie.",
    ),
    "ar": _Words(
        title="زيارة من منطقتكم التعليمية",
        dear="عائلة {name} الكريمة،",
        opening="شكرًا لموافقتكم على الزيارة. سيأتي زائران مدرَّبان للاستماع إليكم والتعرف عليكم.",
        when="الموعد",
        where="المكان",
        who="الزائران",
        language="اللغة",
        at_home="في منزلكم",
        in_community="في مكان عام في الحي",
        interpreter="مع مترجم، مجانًا",
        what="الزيارة للحديث عن أحوال أطفالكم في المدرسة وعما قد يساعدهم. لا أحد في ورطة.",
        free="الزيارة اختيارية. لتغيير الموعد أو إلغائه أو طلب مكان آخر، اتصلوا بالمدرسة.",
        thanks="نتطلع إلى لقائكم.",
    ),
}
LANGUAGES = tuple(_WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter, ready to print: its language, its direction, and what it says."""

    language: str
    direction: str
    title: str
    dear: str
    opening: str
    facts: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Name, what stands between values, values: each of them keeps its own direction."""
    closing: tuple[str, ...]


def letter_in(language: str, *, visit: SheetVisit, zone: tzinfo, name_of: Callable[[str | None], str]) -> Letter:
    """Write the letter in the language, or in English where it is none of these."""
    code = language.split("-")[0] if language.split("-")[0] in _WORDS else "en"
    words = _WORDS[code]
    locale = Locale.parse({"en": "en_US", "es": "es_US", "pt": "pt_BR"}.get(code, code))
    starts_at, ends_at = visit.starts_at.astimezone(zone), visit.ends_at.astimezone(zone)
    begins, ends = (format_time(moment.time(), "short", locale=locale) for moment in (starts_at, ends_at))
    when = f"{format_date(starts_at.date(), 'full', locale=locale)}, {begins} – {ends}"
    address = (visit.contact or {}).get("address")
    where = words.at_home if visit.place == "home" else words.in_community
    detail = address if visit.place == "home" else visit.place_text
    spoken = str(locale.languages.get(visit.language.split("-")[0], visit.language))
    return Letter(
        language=code,
        direction="rtl" if locale.character_order == "right-to-left" else "ltr",
        title=words.title,
        dear=words.dear.format(name=(visit.contact or {}).get("contact_name", "")),
        opening=words.opening,
        facts=(
            (words.when, "", (when,)),
            (words.where, ": ", (where, detail) if detail else (where,)),
            (words.who, " · ", tuple(map(name_of, visit.pair))),
            (words.language, " · ", (spoken, words.interpreter) if visit.interpreter else (spoken,)),
        ),
        closing=(words.what, words.free, words.thanks),
    )
