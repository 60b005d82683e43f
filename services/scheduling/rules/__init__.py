"""Stages, points, pairs and weeks, without input or output."""
