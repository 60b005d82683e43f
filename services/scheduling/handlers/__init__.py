"""What scheduling does: with events, with people's commands, and on a day that has come."""
