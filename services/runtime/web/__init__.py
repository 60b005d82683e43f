"""The doors, for people and programs: who is there, what may be asked, and how the answer looks."""
