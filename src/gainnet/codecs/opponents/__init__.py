"""The strongest picture codecs there are, as opponents of mobile edge generation; `pip install 'gainnet[opponents]'`.

    picture --at 1, 1/2 and 1/4 of its size--> every encoder, every quantiser --> the least error that fits a budget

AVIF, JPEG XL, WebP and JPEG through Pillow; HEVC (x265) and VVC (vvenc) through the ffmpeg that imageio-ffmpeg brings.
"""

from gainnet.codecs.opponents.best import ENCODERS, BestPicture, installed, name_of
from gainnet.codecs.opponents.cache import EncodeCache, Encodes, Point, cache_folder
from gainnet.codecs.opponents.encoder import SCALES, UPSAMPLERS, StillEncoder
from gainnet.codecs.opponents.pillow import PillowEncoder
from gainnet.codecs.opponents.video import VideoEncoder

__all__ = [
    "ENCODERS",
    "SCALES",
    "UPSAMPLERS",
    "BestPicture",
    "EncodeCache",
    "Encodes",
    "PillowEncoder",
    "Point",
    "StillEncoder",
    "VideoEncoder",
    "cache_folder",
    "installed",
    "name_of",
]
