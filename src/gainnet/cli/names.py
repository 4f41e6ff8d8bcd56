"""The names that options, files and Python's `parse` take: `names`."""

from __future__ import annotations

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, print_table


@command("names")
def names(family: str | None = None, name: str | None = None, *, as_json: bool = False) -> None:
    """List the names that options take, such as channels and codecs, with their arguments.

    Args:
        family: fading, codec.seed, power, link or another one; all families when left out.
        name: whose arguments are listed; all names of the family when left out.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet names fading rician
    """
    from gainnet.catalog.listing import describe_arguments, describe_families, describe_names

    if family is None:
        found = describe_families()
        if as_json:
            return print_json({"families": found})
        rows = [{**row, "names": ", ".join(row["names"])} for row in found]
        return print_table("Families of names", ("family", "names"), rows)
    if name is None:
        found = describe_names(family)
        if as_json:
            return print_json({"family": family, "names": found})
        rows = [{**row, "arguments": ", ".join(each["argument"] for each in row["arguments"])} for row in found]
        return print_table(family, ("name", "summary", "arguments"), rows)
    found = describe_arguments(family, name)
    if as_json:
        return print_json({"family": family, "name": name, "arguments": found})
    rows = [{**row, "default": row["default"] or "to be given"} for row in found]
    return print_table(name, ("argument", "default", "meaning"), rows)
