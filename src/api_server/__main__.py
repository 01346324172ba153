"""``python -m api_server``: the same as ``stt-engine``."""

from api_server.cli import main

if __name__ == "__main__":
    main()
