"""Faults by the hundred, on the whole system: `python -m tests.faults`; nothing may be lost, doubled or wrong."""
