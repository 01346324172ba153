"""Work in a child process that can be killed, and the order in which calls get their steps.

Both ends of the pipe live here: ``worker`` and ``process`` in the parent, ``child`` beyond it. What
they send each other is typed in :mod:`stt_engine.protocol`, which the rooms that do the work import
too; how the work is done (decoding, recognising) is not known here.
"""
