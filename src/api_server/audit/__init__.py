"""What proves the record: entries, commitments, the tree over them, and signed checkpoints.

Bytes in, bytes out: no database, no settings, no HTTP, so that ``python -m api_server.audit
ARCHIVE`` can check an exported case anywhere. Where entries are kept is ``store.audit_log``.
"""
