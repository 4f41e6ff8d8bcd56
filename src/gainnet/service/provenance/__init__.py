"""Where a picture comes from, written into its file so that others can check it.

    edge delivers a picture     picture --C2PA--> signed file: generated, by which model, signed by the edge
    device decodes a payload    payload --receipt of the edge--> XMP: generated, signed payload, pixels of the device

`verify` reads either. Nothing here asks another machine: no time stamps, no lists of revoked certificates, no
manifests elsewhere.
"""

from gainnet.service.provenance.marking import COMPOSITE, GENERATED, mark, source_type, xmp_of
from gainnet.service.provenance.receipts import DeviceKey, Receipt, configuration_digest, picture_digest
from gainnet.service.provenance.signer import Cost, Signer, sign_saved
from gainnet.service.provenance.verifying import Found, spelled, verify

__all__ = [
    "COMPOSITE",
    "GENERATED",
    "Cost",
    "DeviceKey",
    "Found",
    "Receipt",
    "Signer",
    "configuration_digest",
    "mark",
    "picture_digest",
    "sign_saved",
    "source_type",
    "spelled",
    "verify",
    "xmp_of",
]
