"""The server's log lines, as tables for :class:`stt_engine.log.LogObserver`."""
