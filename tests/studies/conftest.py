"""Makes the toy study importable by name, as somebody's own study would be."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
