"""The zones that tests live in: where Connecticut is, and one on the other side of midnight."""

from zoneinfo import ZoneInfo

HERE = ZoneInfo("America/New_York")
ELSEWHERE = ZoneInfo("Pacific/Auckland")
"""Ahead of UTC, and of Connecticut by sixteen to eighteen hours: what is an evening here is the next day there."""
