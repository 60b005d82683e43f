"""What `leap answer` says to a family, in English and Spanish; codes are said in the words of the services' pages."""

from collections.abc import Mapping

from services.runtime.web.languages import OWN_TRANSLATIONS, Language
from services.scheduling.app import service as scheduling
from services.scheduling.pages import words as desk_words
from services.scheduling.pages.disclosures import WORDS as DESK_READING
from services.visitlog.app import FOLDER as VISITLOG
from services.visitlog.pages.disclosures import WORDS as LOG_READING
from services.visitlog.pages.words import WORDS as LOG_WORDS

ES: Mapping[str, str] = {
    "What we hold of your family, and who read it": "Lo que guardamos de su familia y quién lo leyó",
    "Answered on %(day)s. District: %(district)s. Key: %(key)s": (
        "Respuesta del %(day)s. Distrito: %(district)s. Clave: %(key)s"
    ),
    "How we reach you": "Cómo le contactamos",
    "No name, phone or address is held.": "No se guarda ningún nombre, teléfono ni dirección.",
    "Name: %(name)s": "Nombre: %(name)s",
    "Phones: %(phones)s": "Teléfonos: %(phones)s",
    "Address: %(address)s": "Dirección: %(address)s",
    "Language: %(language)s": "Idioma: %(language)s",
    "An interpreter is needed.": "Se necesita intérprete.",
    "Child: %(name)s": "Estudiante: %(name)s",
    "School days of your children": "Días escolares de sus hijos",
    "No school days are held.": "No se guardan días escolares.",
    "%(name)s, school %(school)s: missed %(absent)s of %(enrolled)s days, as of %(day)s": (
        "%(name)s, escuela %(school)s: faltó %(absent)s de %(enrolled)s días, hasta el %(day)s"
    ),
    "%(name)s: marks of %(days)s days wait for an enrolment": (
        "%(name)s: las asistencias de %(days)s días esperan una inscripción"
    ),
    "Days missed: %(days)s": "Días de falta: %(days)s",
    "Visits and calls": "Visitas y llamadas",
    "Nothing was arranged.": "No se acordó nada.",
    "Your family has been listed for a visit since %(day)s": "Su familia está en la lista de visitas desde el %(day)s",
    "%(day)s: we tried to reach you (%(way)s): %(answer)s": ("%(day)s: intentamos contactarle (%(way)s): %(answer)s"),
    "%(day)s: visit (%(place)s)": "%(day)s: visita (%(place)s)",
    "What was written down of visits": "Lo que se anotó de las visitas",
    "Nothing was written down.": "No se anotó nada.",
    "Strengths": "Fortalezas",
    "Hopes": "Esperanzas",
    "What goes well": "Lo que va bien",
    "What gets in the way": "Lo que dificulta",
    "Small step": "Pequeño paso",
    "Promised": "Prometido",
    "Left or done": "Lo que se dejó o se hizo",
    "Note to the coordinator": "Nota para el coordinador",
    "Added later": "Añadido después",
    "Further": "Además",
    "Resource": "Recurso",
    "Numbers in reports": "Números en los informes",
    "In reports your family is a key and numbers, without a name: %(rows)s entries.": (
        "En los informes su familia es una clave y números, sin nombre: %(rows)s registros."
    ),
    "What your district sent is kept at the door for 30 days, and then only what is written here.": (
        "Lo que envió su distrito se guarda 30 días en la entrada y después solo lo que está escrito aquí."
    ),
    "Who read it": "Quién lo leyó",
    "Nobody has read anything.": "Nadie ha leído nada.",
    "When": "Cuándo",
    "Who": "Quién",
    "What": "Qué",
    "Why": "Por qué",
    "Where": "Dónde",
    "scheduling desk": "oficina de citas",
    "visit log": "registro de visitas",
    "attendance": "asistencia",
    "reports": "informes",
    "why a child is listed": "por qué figura un estudiante",
    "an earlier record, without the role": "un registro anterior, sin la función",
    "district": "oficina del distrito",
    "you agreed": "usted aceptó",
    "you asked for another day": "usted pidió otro día",
    "you declined": "usted no lo deseó",
    "you prefer the phone": "usted prefiere el teléfono",
    "you had moved": "usted se había mudado",
    "What you may ask": "Lo que puede pedir",
    "You may ask your school district to correct what is wrong, to add what is missing, and to delete it.": (
        "Puede pedir a su distrito escolar que corrija lo que está mal, añada lo que falta y lo borre."
    ),
    "A visit is voluntary. None of this counts against your child.": (
        "Una visita es voluntaria. Nada de esto cuenta en contra de su hijo."
    ),
}

_CODES: Mapping[str, str] = {
    **{code: text for group in LOG_WORDS.values() for code, text in group.items()},
    **desk_words.WAYS,
    **desk_words.PLACES,
    **desk_words.VISIT_STATES,
    **DESK_READING,
    **LOG_READING,
    "explain": "why a child is listed",
    "district": "district",
    "agreed": "you agreed",
    "not_reached": "not reached",
    "later": "you asked for another day",
    "declined": "you declined",
    "phone": "you prefer the phone",
    "moved": "you had moved",
}


class FamilyWords:
    """One language's words for a family."""

    def __init__(self, code: str) -> None:
        self.code = code if code in ("en", "es") else "en"
        folders = (OWN_TRANSLATIONS, scheduling.migrations.parent / "translations", VISITLOG / "translations")
        found = [each for folder in folders for each in sorted(folder.glob(f"{self.code}/LC_MESSAGES/*.po"))]
        self.language = Language(self.code, found)

    def say(self, text: str, **values: object) -> str:
        """Say a sentence of ours or of a page."""
        said = ES.get(text, "") if self.code == "es" else ""
        said = said or self.language.gettext(text)
        return said % values if values else said

    def of_code(self, code: object) -> str:
        """Say a code in the words of the pages; one that no page knows, as it is."""
        text = str(code)
        known = _CODES.get(text)
        return self.say(known) if known else text.replace("_", " ")
