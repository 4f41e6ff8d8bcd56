"""Channel models: noise, block fading, measured traces, OFDM over delay profiles.

A channel acts on symbols; bandwidth, power, reports and codes are not here.
"""
