"""Visit log: what happened at the door, each log once, whatever the phone's connection did."""
