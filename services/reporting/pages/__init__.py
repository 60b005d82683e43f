"""Reporting's pages: the same tables as under /v1, with charts, for people."""
