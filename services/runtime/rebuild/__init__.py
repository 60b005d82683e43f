"""A service's tables made anew from the topics while it runs: filled beside, compared, switched."""
