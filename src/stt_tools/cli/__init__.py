"""``stt-engine``: the command line.

One module a command: ``serve``, ``transcribe``, ``analyze``, ``models`` (the group ``model``),
``doctor``, ``jobs``, ``cases``. ``program`` puts them together; ``options``, ``output``,
``keeping`` and ``ending`` hold what several of them share. A new command (``audit``) is a module of
that name here and a line in ``program``; a group of commands is a ``typer.Typer`` in its module, as
in ``models``. A command only reads its options, calls the package that does the work, and shows the
result. What it raises is told by ``ending``.
"""
