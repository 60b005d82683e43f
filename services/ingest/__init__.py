"""Ingest: what districts send becomes pseudonymous facts, or goes back to its district with a reason."""
