"""Runs that can be stopped anywhere and then continued, with the result of an uninterrupted run.

`checkpoint` keeps a state between two steps and `journal` keeps finished cases, both with digests, so that a file that
was damaged or belongs to other settings is refused; `loop` runs the remaining steps. What a step computes is not here.
"""
