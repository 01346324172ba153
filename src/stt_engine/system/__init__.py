"""What the operating system needs to be told: temporary folders, the death of a parent, the heap.

Knows nothing of audio, models or calls. May import the core (errors, outcome, log) only.
"""
