"""What visit log does: with events a batch at a time, with people one thing at a time."""
