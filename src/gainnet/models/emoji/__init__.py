"""The emoji that the second shipped model draws: names, captions and pictures.

Only their description and drawing is here; the networks that generate them are in `models`.
"""
