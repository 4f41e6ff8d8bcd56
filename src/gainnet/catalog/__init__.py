"""Text becomes objects here and nowhere below: one constructor grammar for command line, TOML, tables and reports.

What lives here: the grammar, the families of names, text-level records of the command line, and what classes take.
What may not: anything that computes. What is imported here is light; `opening` and `labels` import what they open.
"""

from gainnet.catalog.families import parse, parse_from_peer, table_of, text_of
from gainnet.catalog.grammar import Call, read, write
from gainnet.catalog.parameters import REQUIRED, Parameter, argument_lines, parameters_of, summary_of
from gainnet.catalog.records import EpisodeConfig, GenerationConfig

__all__ = [
    "REQUIRED",
    "Call",
    "EpisodeConfig",
    "GenerationConfig",
    "Parameter",
    "argument_lines",
    "parameters_of",
    "parse",
    "parse_from_peer",
    "read",
    "summary_of",
    "table_of",
    "text_of",
    "write",
]
