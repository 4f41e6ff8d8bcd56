"""Links over an air: analog, digital, tabulated, Shannon's bound, ideal; and what those with codewords share.

They know nodes, plans and codecs only as payloads.
"""
