"""gainnet runs generative AI across cloud, edge and device over a 6G radio, and shows what it costs."""
