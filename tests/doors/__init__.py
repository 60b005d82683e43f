"""The running services under people who mean no good, or whose program went wrong: what others notice of it."""
