"""Trials as structured abstracts: invented fields with habits of their own, templates of conclusions, prompts.

Only text is here; the models that write conclusions are trained in `training` and asked in `learning/summaries`.
"""
