"""Reporting's HTTP for programs, under /v1: the same tables as the pages, as JSON and CSV."""
