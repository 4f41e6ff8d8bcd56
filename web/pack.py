"""Packs the binary of the runtime as xz, which Node cannot: python pack.py WASM OUT.xz

A file that holds the same already is left alone, since releases of liblzma write other bytes.
"""

import lzma
import sys
from pathlib import Path

# All that is unpacked fits into this window, so a larger one would only cost memory.
WINDOW_BYTES = 16 << 20


def pack(content: bytes, out: Path) -> None:
    """Writes a content to a file, unless that is what it holds."""
    if out.is_file() and lzma.decompress(out.read_bytes()) == content:
        return
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": WINDOW_BYTES}]
    out.write_bytes(lzma.compress(content, lzma.FORMAT_XZ, lzma.CHECK_SHA256, filters=filters))


pack(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]))
