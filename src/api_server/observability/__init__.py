"""Log lines, metrics, readiness and the agent's probe: tables and observers over events.

Nothing here is imported by the rooms that emit the events.
"""
