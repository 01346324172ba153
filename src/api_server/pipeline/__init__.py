"""A call from admission to answer: recognise, mask, check; each stage may fail.

Knows no HTTP: whoever has a recording (an endpoint, a job) calls it with an ``AnalysisRequest``.
"""
