"""Who said it on a mono call: made calls, and how many words get the wrong speaker."""
