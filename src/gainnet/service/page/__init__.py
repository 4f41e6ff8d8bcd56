"""The page of an edge: a device in a browser, and the dashboard. `make web` builds both of the sources in `web/`.

browser --GET /--> page --GET /device/...--> graphs and weights --WebSocket /v1/device--> seed --> decoded in the page
"""

from gainnet.service.page.opponent import opponent
from gainnet.service.page.router import BUILT, page_router

__all__ = ["BUILT", "opponent", "page_router"]
