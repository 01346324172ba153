"""One case as one archive: recording, transcript, findings, revisions, and the proof of them.

Knows the store, the pipeline's renderings and the masking; no HTTP. What proves an archive, and
checks it without a store, is ``audit.archive``.
"""
