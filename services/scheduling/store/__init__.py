"""Scheduling's SQL: `batches` for events, `desk` for people."""
