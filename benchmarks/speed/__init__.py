"""How fast the product is beside other Whisper software: ``make bench``."""
