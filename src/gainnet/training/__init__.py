"""Training of what the package ships: whatever trains through models, codecs and air together."""
