"""The system in containers: one image, the jobs before it, and the proof that it runs where it is built."""
