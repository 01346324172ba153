"""What a call came to, as people and programs read it. Pure: values in, text and plain data out.

Nothing here measures, asks or decides; whoever has a stored result can render it again.
"""
