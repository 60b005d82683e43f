"""What `leap` does, one command a file."""
