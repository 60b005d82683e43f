"""Every route of every service is asked; what shows a name, words, a note or a child's days must be on record."""
