"""Scheduling: a flag becomes one open request of a household, and the request an agreed visit."""
