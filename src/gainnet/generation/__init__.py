"""Edge and device make pictures together: ask, run or price, judge, keep."""

from gainnet.generation.config import GenerationConfig
from gainnet.generation.generate import Generation, estimate, generate, open_model
from gainnet.generation.save import save

__all__ = ["Generation", "GenerationConfig", "estimate", "generate", "open_model", "save"]
