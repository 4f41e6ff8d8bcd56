"""File formats without what a receiver can rebuild: strips constant headers from pictures and puts them back.

Each pair of functions takes a template, a flat picture coded with the same setting, which both ends can make. A body is
what is left of a file; `build(strip(file)) == file`.
"""

from __future__ import annotations

from zlib import crc32

SCAN, END = b"\xff\xda", b"\xff\xd9"
TABLES = 0xC4
PNG_START, PNG_COLOUR_TYPE, PNG_PALETTE = 33, 25, 3


def strip_webp(file: bytes, template: bytes) -> bytes:
    """The VP8 frame without container, start code and size: its tag of 3 bytes, and its partitions.

    RIFF size WEBP VP8_ size | tag | start code, width, height | partitions | pad
    """
    length = int.from_bytes(file[16:20], "little")
    return file[20:23] + file[30 : 20 + length]


def build_webp(body: bytes, template: bytes) -> bytes:
    """With the frame header of the template, and lengths counted again."""
    frame = body[:3] + template[23:30] + body[3:]
    # A RIFF chunk has an even length; the pad byte is not counted in its size.
    padded = frame + b"\0" * (len(frame) % 2)
    chunk = b"VP8 " + len(frame).to_bytes(4, "little") + padded
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


def strip_jpeg(file: bytes, template: bytes) -> bytes:
    """The scan without stuffed zeros, before it Huffman tables that are not those of the template.

    start, quantisation, size | Huffman tables | scan header | scan | end
    """
    tables = b"" if _tables(file) == _tables(template) else _tables(file)
    return tables + file[_scan_start(file) : -len(END)].replace(b"\xff\0", b"\xff")


def build_jpeg(body: bytes, template: bytes) -> bytes:
    """With the Huffman tables of the template."""
    return template[: _scan_start(template)] + body.replace(b"\xff", b"\xff\0") + END


def build_optimised_jpeg(body: bytes, template: bytes) -> bytes:
    """With the Huffman tables that come first in the body."""
    segments, position = b"", 0
    for kind in _table_kinds(template):
        length = 16 + sum(body[position : position + 16])
        segments += b"\xff\xc4" + (3 + length).to_bytes(2, "big") + kind + body[position : position + length]
        position += length
    rest = [segment for segment in _segments(template) if segment[1] != TABLES]
    # In a scan 0xFF announces a marker, so a data byte 0xFF is followed by a zero; both ends know that.
    scan = body[position:].replace(b"\xff", b"\xff\0")
    return b"".join(rest[:-1]) + segments + rest[-1] + scan + END


def strip_avif(file: bytes, template: bytes) -> bytes:
    """The AV1 frame without boxes and sequence header; as a file it is one item in `mdat`.

    boxes | temporal delimiter, sequence header | frame type and length | frame
    """
    start = _frame_start(template)
    return file[_leb128_stop(file, start + 1) :]


def build_avif(body: bytes, template: bytes) -> bytes:
    """With the boxes and the sequence header of the template, and lengths counted again."""
    start, data = _frame_start(template), _item_start(template)
    frame = template[start : start + 1] + _leb128(len(body)) + body
    length = start - data + len(frame)
    # Offset of the extent's length in the item location box, of one item with one extent.
    extent = template.index(b"iloc") + 22
    boxes = bytearray(template[:start])
    boxes[extent : extent + 4] = length.to_bytes(4, "big")
    boxes[data - 8 : data - 4] = (8 + length).to_bytes(4, "big")
    return bytes(boxes) + frame


def strip_png(file: bytes, template: bytes) -> bytes:
    """The palette with its number of colours before it, if there is one, and the compressed pixels.

    signature, header | palette | pixels | end
    """
    palette = b"".join(content for kind, content in _chunks(file) if kind == b"PLTE")
    pixels = b"".join(content for kind, content in _chunks(file) if kind == b"IDAT")
    return (bytes([len(palette) // 3 - 1]) + palette if palette else b"") + pixels


def build_png(body: bytes, template: bytes) -> bytes:
    """With the header of the template, its bit depth as the number of colours asks for."""
    if template[PNG_COLOUR_TYPE] != PNG_PALETTE:
        return template[:PNG_START] + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    stop = 1 + 3 * (body[0] + 1)
    # Pillow writes the least depth that the palette fits in.
    depth = next(bits for bits in (1, 2, 4, 8) if body[0] < 1 << bits)
    header = _chunk(b"IHDR", template[16:24] + bytes([depth]) + template[25:29])
    return template[:8] + header + _chunk(b"PLTE", body[1:stop]) + _chunk(b"IDAT", body[stop:]) + _chunk(b"IEND", b"")


def _segments(file: bytes) -> list[bytes]:
    """Segments of a JPEG file up to the scan header."""
    segments, position = [file[:2]], 2
    while segments[-1][:2] != SCAN:
        length = 2 + int.from_bytes(file[position + 2 : position + 4], "big")
        segments.append(file[position : position + length])
        position += length
    return segments


def _scan_start(file: bytes) -> int:
    return sum(map(len, _segments(file)))


def _tables(file: bytes) -> bytes:
    """Huffman tables, each as 16 counts and its symbols."""
    return b"".join(segment[5:] for segment in _segments(file) if segment[1] == TABLES)


def _table_kinds(file: bytes) -> list[bytes]:
    return [segment[4:5] for segment in _segments(file) if segment[1] == TABLES]


def _item_start(file: bytes) -> int:
    return file.index(b"mdat") + 4


def _frame_start(file: bytes) -> int:
    """Where the frame begins: after the temporal delimiter and the sequence header."""
    position = _item_start(file)
    # The type of an AV1 unit is in bits 3 to 6 of its first byte: 1 is a sequence header, 2 a temporal delimiter.
    while file[position] >> 3 & 15 in (1, 2):
        stop = _leb128_stop(file, position + 1)
        position = stop + _from_leb128(file[position + 1 : stop])
    return position


def _leb128_stop(file: bytes, position: int) -> int:
    while file[position] & 0x80:
        position += 1
    return position + 1


def _from_leb128(digits: bytes) -> int:
    return sum((digit & 0x7F) << 7 * i for i, digit in enumerate(digits))


def _leb128(number: int) -> bytes:
    digits = b""
    while number >= 0x80:
        digits, number = digits + bytes([number & 0x7F | 0x80]), number >> 7
    return digits + bytes([number])


def _chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of every chunk of a PNG file."""
    chunks, position = [], 8
    while position < len(file):
        length = int.from_bytes(file[position : position + 4], "big")
        chunks.append((file[position + 4 : position + 8], file[position + 8 : position + 8 + length]))
        position += 12 + length
    return chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + crc32(kind + content).to_bytes(4, "big")
