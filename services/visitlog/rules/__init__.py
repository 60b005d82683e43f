"""What a visit's end means, what a log must say and what it pays, without input or output."""
