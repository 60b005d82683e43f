"""The visit log in a real browser."""
