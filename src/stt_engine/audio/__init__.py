"""Any file to 16 kHz samples a channel, and what its header says of its length.

Runs in a child process, for it reads hostile files. May import the core only.
"""
