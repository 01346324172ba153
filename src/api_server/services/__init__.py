"""The two names of the original request that live elsewhere now; nothing else belongs here."""
