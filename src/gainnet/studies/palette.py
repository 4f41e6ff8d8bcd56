"""Okabe and Ito's palette (2008), which colour-blind readers can tell apart, with a brown and a grey."""

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, BROWN, GREY, BLACK = "#56B4E9", "#8C564B", "#777777", "#000000"
