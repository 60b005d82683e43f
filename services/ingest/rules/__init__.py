"""What may land, what it becomes and under which key, without input or output."""
