"""5G codes and modulation, their measured block error rates, and link adaptation.

Codewords of one format at a time; rounds and retransmissions are in `links/`.
"""
