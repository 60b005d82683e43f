"""Speed, measured on real parts: every contestant on the same records, in turn, in one run."""
