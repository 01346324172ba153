"""The real recognisers. Each module runs in a child process and imports its library only there."""
