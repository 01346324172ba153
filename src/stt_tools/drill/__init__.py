"""``stt-engine drill``: fault injection against a real server, one scenario a documented fallback.

A scenario injects a fault, sends calls as a client does, and asserts what ``docs/fallback.md``
documents; invariants (nothing invented, nothing hidden) are asserted of every answer.
"""
