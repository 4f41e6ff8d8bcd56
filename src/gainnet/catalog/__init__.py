"""Text becomes objects here and nowhere below: one constructor grammar for command line, TOML, tables and reports.

Here are the grammar, the families of names, the records of the command line, and the parameters of classes. Nothing
here computes. Importing this package is fast; `opening` and `labels` import the objects that they open.
"""

from gainnet.catalog.families import parse, parse_from_peer, table_of, text_of
from gainnet.catalog.grammar import Call, read, write
from gainnet.catalog.parameters import REQUIRED, Parameter, argument_lines, parameters_of, summary_of
from gainnet.catalog.records import EpisodeConfig, GenerationConfig, LearnConfig, SafeguardsConfig

__all__ = [
    "REQUIRED",
    "Call",
    "EpisodeConfig",
    "GenerationConfig",
    "LearnConfig",
    "Parameter",
    "SafeguardsConfig",
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
