"""불완전판매요소: checks a call by rules and by an LLM, and accepts only what has evidence.

``validator`` is the entry point. Agents are called through ``clients.agent``; nothing here depends
on the HTTP server.
"""
