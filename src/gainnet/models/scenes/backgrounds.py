"""The backgrounds: pale or dark gradients with a simple texture that bright, outlined things stand out from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Colour = tuple[int, int, int]


def _paint(colour: Colour) -> Tensor:
    return torch.tensor(colour).view(3, 1, 1) / 255


def _gradient(y: Tensor, top: Colour, bottom: Colour) -> Tensor:
    return _paint(top) + (_paint(bottom) - _paint(top)) * y[:, None]


def _over(picture: Tensor, cover: Tensor, colour: Tensor) -> Tensor:
    return picture + (colour - picture) * cover[:, None]


def _edge(distance: Tensor) -> Tensor:
    """Coverage of a pixel by what lies at negative distance (in pixels)."""
    return (0.5 - distance).clamp(0, 1)


def _hill(x: Tensor, y: Tensor, u: Tensor, height: float, swing: float, waves: float) -> Tensor:
    """Coverage by the ground below a wavy horizon; u is [n, 2, 1, 1]."""
    horizon = height + 0.04 * (u[:, 0] - 0.5) + swing * torch.sin(6.2832 * (waves * x + u[:, 1]))
    return _edge((horizon - y) * 128)


def _dots(x: Tensor, y: Tensor, u: Tensor, radius: float) -> Tensor:
    """Coverage by soft dots, one per pair in u [n, 2 k, 1, 1]."""
    cover = torch.zeros_like(x + u[:, 0])
    for k in range(0, u.shape[1], 2):
        distance = ((x - u[:, k]) ** 2 + (y - u[:, k + 1]) ** 2).sqrt() * 128
        cover = torch.maximum(cover, ((radius + 1.5 - distance) / 3).clamp(0, 1))
    return cover


def _sunset(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    sky = _gradient(y, (96, 64, 120), (250, 170, 110))
    sun = _edge((((x - 0.2 - 0.6 * u[:, 0]) ** 2 + (y - 0.86) ** 2).sqrt() - 0.2) * 32)
    ground = _hill(x, y, u[:, 1:3], 0.88, 0.01, 1.0)
    return _over(_over(sky, sun, _paint((255, 214, 140))), ground, _paint((84, 52, 72)))


def _night(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    sky = _gradient(y, (10, 12, 40), (34, 40, 84))
    return _over(sky, 0.8 * _dots(x, y, u[:, :14], 1.0), _paint((240, 240, 210)))


def _sea(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (190, 222, 240), (220, 236, 244))
    for k, (height, colour) in enumerate(((0.45, (90, 160, 190)), (0.62, (66, 136, 172)), (0.8, (46, 110, 152)))):
        picture = _over(picture, _hill(x, y, u[:, 2 * k : 2 * k + 2], height, 0.012, 4.0), _paint(colour))
    return picture


def _snow(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    sky = _gradient(y, (150, 170, 196), (196, 208, 224))
    picture = _over(sky, _hill(x, y, u[:, :2], 0.62, 0.05, 0.8), _paint((240, 244, 250)))
    return _over(picture, _dots(x, y, u[:, 2:16], 1.5), _paint((252, 252, 255)))


def _meadow(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (150, 206, 240), (206, 232, 244))
    picture = _over(picture, _hill(x, y, u[:, :2], 0.5, 0.05, 0.7), _paint((150, 200, 110)))
    return _over(picture, _hill(x, y, u[:, 2:4], 0.72, 0.04, 1.0), _paint((120, 178, 88)))


def _desert(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (236, 226, 190), (246, 238, 214))
    picture = _over(picture, _hill(x, y, u[:, :2], 0.5, 0.07, 1.2), _paint((214, 180, 124)))
    return _over(picture, _hill(x, y, u[:, 2:4], 0.75, 0.06, 0.9), _paint((192, 154, 100)))


def _mountains(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (196, 206, 222), (226, 230, 236))
    for k, (base, colour) in enumerate((((0.25), (148, 152, 166)), ((0.42), (112, 116, 132)))):
        zigzag = ((x * 2 + u[:, 2 * k]) % 1 - 0.5).abs()
        picture = _over(picture, _edge((base + 0.1 * u[:, 2 * k + 1] + 0.7 * zigzag - y) * 105), _paint(colour))
    return picture


def _city(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (206, 196, 214), (234, 224, 226))
    for k in range(6):
        aside = (x - (k + 0.5) / 6).abs() - 0.07
        below = 0.35 + 0.35 * u[:, k] - y
        shade = 120 + 24 * (k % 2)
        picture = _over(picture, _edge(torch.maximum(aside, below) * 128), _paint((shade, shade - 14, shade + 6)))
    return picture


def _forest(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (50, 84, 60), (26, 50, 36))
    for k in range(5):
        trunk = _edge(((x - (k + 0.2 + 0.6 * u[:, k]) / 5).abs() - 0.028) * 128)
        picture = _over(picture, trunk, _paint((70, 54, 42)))
    return _over(picture, _hill(x, y, u[:, 5:7], 0.88, 0.015, 1.5), _paint((44, 66, 34)))


def _fog(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    band = 0.5 + 0.5 * torch.sin(6.2832 * (1.5 * y + u[:, 0] + 0.1 * torch.sin(6.2832 * (x + u[:, 1]))))
    return _over(_gradient(y, (178, 182, 184), (200, 203, 204)), 0.5 * band, _paint((222, 224, 225)))


def _water(x: Tensor, y: Tensor, u: Tensor) -> Tensor:
    picture = _gradient(y, (60, 190, 200), (12, 66, 104))
    rays = 0.5 + 0.5 * torch.sin(6.2832 * (2.5 * (x + 0.35 * y) + u[:, 0]))
    picture = _over(picture, 0.25 * rays * (1 - y), _paint((220, 250, 250)))
    return _over(picture, 0.6 * _dots(x, y, u[:, 1:9], 2.5), _paint((200, 240, 245)))


PAINTERS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "at sunset": _sunset,
    "at night": _night,
    "on the sea": _sea,
    "in the snow": _snow,
    "in a meadow": _meadow,
    "in the desert": _desert,
    "in the mountains": _mountains,
    "in the city": _city,
    "in a forest": _forest,
    "in the fog": _fog,
    "under water": _water,
}
