"""Training of the shipped weights, where models, codecs and air are trained together.

`loop` runs the stages of every training; each stage is a loss in a file of its own. Nothing here is needed to use the
weights; learning from the data of users is in `learning`.
"""
