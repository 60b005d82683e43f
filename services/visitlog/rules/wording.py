"""How rules say things to people: in English, translated where it is shown."""

N_ = str
"""Marks a sentence for the translators, where it is written and the reader's language is not yet known."""
