"""The HTTP server around stt_engine."""
