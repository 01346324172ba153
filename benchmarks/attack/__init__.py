"""Attacks on a server of its own: what it holds, what it refuses, and where it falls."""
