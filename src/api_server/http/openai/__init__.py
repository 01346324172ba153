"""OpenAI's audio API as clients speak it: the fields of a form, the shape of an error, the schema.

No model is asked and no recording is opened here: the endpoints do that, as all others do.
"""
