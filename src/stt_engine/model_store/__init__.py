"""Find, fetch and verify a model folder: catalogue, sources, download, locks, headers.

Loads no model and imports no recognition library. May import the core and ``system``.
"""
