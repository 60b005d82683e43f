"""What can be seen from outside: metrics, logs and traces, none of which names anybody."""
