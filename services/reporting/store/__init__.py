"""Reporting's tables: projections written from events, queries that read them, releases that stay as they were."""
