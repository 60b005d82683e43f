"""Visit log's pages: a phone in a visitor's hand, and the coordinator's desk."""
