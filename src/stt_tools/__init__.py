"""Tools about the server: command line, doctor, drill, generated references.

Stands above ``api_server`` and ``stt_engine``; neither may import it.
"""
