"""XMP in a picture: its digital source type in the words of the IPTC, and a receipt of an edge."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree

from PIL import Image

from gainnet.core.errors import PayloadError
from gainnet.core.outside import reading

_TERMS: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED: Final = _TERMS + "trainedAlgorithmicMedia"
"""The whole picture was made by a model."""
COMPOSITE: Final = _TERMS + "compositeWithTrainedAlgorithmicMedia"
"""A model has changed a picture."""

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OURS: Final = "urn:gainnet:provenance:1"
_MOST_XMP: Final = 1 << 20
_AFTER_IHDR: Final = 33
"""Bytes of a PNG's signature and of its first chunk, whose length is fixed."""


def source_type(is_changed: bool) -> str:
    """The digital source type of a picture: of one that was changed, or of one that was made.

    >>> source_type(False).rpartition("/")[2]
    'trainedAlgorithmicMedia'
    """
    return COMPOSITE if is_changed else GENERATED


def xmp_of(source: str, receipt: str | None = None) -> str:
    """An XMP packet.

    Args:
        source: digital source type, an address of the IPTC's.
        receipt: text of letters, digits and `+/=`; left out when `None`.
    """
    ours = "" if receipt is None else f' xmlns:gainnet="{_OURS}" gainnet:receipt="{receipt}"'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""'
        f' xmlns:Iptc4xmpExt="{_IPTC}" Iptc4xmpExt:DigitalSourceType="{source}"{ours}/></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="r"?>'
    )


def mark(png: bytes, source: str, receipt: str | None = None) -> bytes:
    """A PNG file with XMP; its pixels are as before, bit for bit.

    Args:
        png: file without XMP.
        source: digital source type.
        receipt: as of `xmp_of`.

    >>> from io import BytesIO
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGB", (2, 2)).save(file, "PNG")
    >>> read_marks(mark(file.getvalue(), GENERATED, receipt="abc="))["receipt"]
    'abc='
    """
    # As iTXt, uncompressed: where readers of XMP look for it. A chunk is put in, so that nothing is compressed again.
    body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + xmp_of(source, receipt).encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_AFTER_IHDR] + chunk + png[_AFTER_IHDR:]


def read_marks(content: bytes) -> Mapping[str, str]:
    """`source` and `receipt` of a picture's XMP, as far as they are there.

    Args:
        content: of the file.

    Raises:
        PayloadError: its XMP is damaged.
    """
    with reading("picture"), Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
        image.load()
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    octets = packet.encode() if isinstance(packet, str) else bytes(packet)
    # A document type could define entities that grow without end; XMP has none.
    if len(octets) > _MOST_XMP or b"<!DOCTYPE" in octets:
        raise PayloadError("picture: its XMP is too long or has a document type; it is not of this program")
    if not octets:
        return {}
    try:
        tree = ElementTree.fromstring(octets.rstrip(b"\0").decode())
    except (ElementTree.ParseError, ValueError):
        raise PayloadError("picture: its XMP is damaged; take the original file") from None
    names = {"source": f"{{{_IPTC}}}DigitalSourceType", "receipt": f"{{{_OURS}}}receipt"}
    found = {key: _value(tree, name) for key, name in names.items()}
    return {key: text for key, text in found.items() if text}


def _value(tree: ElementTree.Element, name: str) -> str | None:
    """A property, written as an attribute or as an element."""
    for each in tree.iter(f"{{{_RDF}}}Description"):
        if (text := each.get(name) or each.findtext(name)) is not None:
            return text.strip()
    return None
