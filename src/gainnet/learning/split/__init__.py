"""A language model that is cut into two parts, which train as if they were whole.

Here are the cut of any architecture and the step over both halves. Who takes turns and who averages is in `algorithms`.
"""
