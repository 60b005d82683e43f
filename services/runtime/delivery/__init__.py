"""One delivery, one transaction: what a batch changes, what it tells and how far it came are saved together."""
