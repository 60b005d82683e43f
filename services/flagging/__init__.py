"""Flagging: who is chronically absent, and since when."""
