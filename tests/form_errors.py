"""Which errors a model can raise at what people type, worked out from its schema and not from the reader's words."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

_OF_TEXT: Mapping[str, tuple[str, ...]] = {
    "str": (),
    "bool": ("bool_parsing",),
    "int": ("int_parsing", "int_parsing_size"),
    "float": ("float_parsing",),
    "decimal": ("decimal_parsing",),
    "date": ("date_from_datetime_parsing", "date_from_datetime_inexact"),
    "time": ("time_parsing",),
    "datetime": ("datetime_parsing", "datetime_from_date_parsing"),
    "uuid": ("uuid_parsing",),
    "enum": ("enum",),
    "literal": ("literal_error",),
    "list": (),
    "tuple": (),
    "set": (),
    "dict": (),
    "function-before": ("value_error",),
    "function-after": ("value_error",),
    "function-wrap": ("value_error",),
    "function-plain": ("value_error",),
    "model": (),
    "model-fields": (),
    "default": (),
    "nullable": (),
    "definitions": (),
    "definition-ref": (),
}
_OF_BOUND = {
    "ge": "greater_than_equal",
    "gt": "greater_than",
    "le": "less_than_equal",
    "lt": "less_than",
    "multiple_of": "multiple_of",
    "max_digits": "decimal_max_digits",
    "decimal_places": "decimal_max_places",
    "pattern": "string_pattern_mismatch",
    "tz_constraint": "timezone_aware",
}
_OF_LENGTH = {("str", "min_length"): "string_too_short", ("str", "max_length"): "string_too_long"}


def errors_of(model: type[BaseModel]) -> set[str]:
    """Name every kind of error that text in this model's fields can cause. Raises KeyError at a kind of field that is
    new here: say what it can't read.
    """
    return set(_errors(model.__pydantic_core_schema__))


def _errors(schema: Any) -> Iterator[str]:
    yield from _OF_TEXT[schema["type"]]
    if schema["type"] == "decimal" or not schema.get("allow_inf_nan", True):
        yield "finite_number"
    yield from (error for bound, error in _OF_BOUND.items() if schema.get(bound) is not None)
    for bound, error in (("min_length", "too_short"), ("max_length", "too_long")):
        if schema.get(bound):
            yield _OF_LENGTH.get((schema["type"], bound), error)
    for name, declared in schema.get("fields", {}).items() if schema["type"] == "model-fields" else ():
        assert name.isidentifier()
        if declared["schema"]["type"] != "default":
            yield "missing"
        yield from _errors(declared["schema"])
    for inner in ("schema", "items_schema", "keys_schema", "values_schema", "definitions"):
        held = schema.get(inner)
        for each in held if isinstance(held, list) else [held] if held else []:
            yield from _errors(each)
