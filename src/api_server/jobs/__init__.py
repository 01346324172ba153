"""Work that is taken now and done later: each case through the pipeline, once, behind live calls.

What an answer lacks is completed when its dependency is back; addresses are told of what has ended;
files of watched folders become cases.

Knows the store and the pipeline, and no HTTP. A server on which no job was ever sent opens no
database and imports nothing for one.
"""
