"""What the system is made of: pinned, listed with licences, and asked after where somebody knows of holes."""
