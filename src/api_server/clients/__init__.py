"""Clients of other servers; only this package imports an HTTP client library.

Circuit breaker, deadline and HTTP client; ``agent`` calls LLM servers, ``remote_stt`` a recogniser
on another machine. How a result affects a call is not decided here.
"""
