"""A backend in its worker, as the engine sees it: loading, progress, resuming, quarantine.

Imports no recognition library; what a model does is asked of its child process.
"""
