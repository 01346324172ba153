"""``python -m stt_tools``: the same as ``stt-engine``."""

from stt_tools.entry import main

if __name__ == "__main__":
    main()
