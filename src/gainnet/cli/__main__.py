"""`python -m gainnet.cli` is the command `gainnet`."""

from gainnet.cli import main

main()
