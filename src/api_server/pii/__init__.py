"""Personal data in transcripts: recognised in written and spoken forms, and masked.

Pure text work: no settings, no HTTP, no rubric. A new entity type is a recogniser in this package.
"""
