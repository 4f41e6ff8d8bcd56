"""Types, units, randomness, reports, errors, files and runs that every package shares.

Only nouns that several packages need live here; nothing here knows of channels, codecs, models or protocols.
"""
