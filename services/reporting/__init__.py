"""Reporting: numbers, each defined once, from projections that can be rebuilt from the events."""
