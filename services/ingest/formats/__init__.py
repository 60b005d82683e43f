"""The forms in which districts send: our own JSON, CSV rows, Ed-Fi files."""
