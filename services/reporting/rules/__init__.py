"""Every number's definition, and which of them may be shown, without input or output."""
