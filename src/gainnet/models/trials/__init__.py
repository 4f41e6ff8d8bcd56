"""Trials as structured abstracts: invented fields with habits of their own, templates of conclusions, prompts."""
