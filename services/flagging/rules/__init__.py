"""The arithmetic of absence, without input or output."""
