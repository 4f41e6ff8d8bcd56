"""Runs that are stopped anywhere and end as if they had not been.

`checkpoint` keeps a state between two steps and `journal` keeps finished cases, both with digests, so that a file that
was damaged or belongs to other settings is refused; `loop` makes the steps that are left.
"""
