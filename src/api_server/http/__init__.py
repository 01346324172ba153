"""The HTTP server: routes, problem documents, uploads, middleware, client disconnects.

Converts requests to calls of the pipeline and outcomes to responses; contains no other logic.
"""
