"""Named points at which a fault test lets the process die, as a power cut would: nothing is flushed or closed."""

import os

POINTS = ("after_poll", "before_commit", "after_commit", "relay_sent")

_armed = ""


def arm(point: str) -> None:
    """Let the process end itself, exit code 9, when it reaches the point. An empty name disarms."""
    global _armed
    if point and point not in POINTS:
        raise ValueError(f"{point} is no crash point; there are {', '.join(POINTS)}")
    _armed = point


def crash_point(name: str) -> None:
    """End the process if a fault test armed this point."""
    if _armed and name == _armed:
        os._exit(9)
