"""How rules say things to people: English with named gaps, which the edge translates and fills."""

from collections.abc import Mapping
from typing import Any

N_ = str
"""Marks a sentence for the translators, where it is written and the reader's language is not yet known."""


def say(msgid: str, values: Mapping[str, Any]) -> str:
    """Fill the gaps of an English sentence."""
    return msgid % values if values else msgid.replace("%%", "%")
