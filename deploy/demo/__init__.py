"""The simulated state: fifteen made-up districts that send what districts send, through the landing topics only."""
