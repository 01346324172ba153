"""Who may call: the keys in force, and which endpoint needs which role."""
