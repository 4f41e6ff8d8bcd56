"""The names that options take are listed, each with arguments that can be given."""

from __future__ import annotations

import json

import pytest


def test_names_lists_families_names_and_arguments_with_their_units(call):
    code, out, _ = call("names", "--json")
    families = {each["family"]: each["names"] for each in json.loads(out)["families"]}
    assert (code, families["profile"]) == (0, ["cdl", "tdl"])
    code, out, _ = call("names", "fading", "--json")
    summaries = {each["name"]: each["summary"] for each in json.loads(out)["names"]}
    assert (code, set(summaries)) == (0, set(families["fading"]))
    assert summaries["tdl-a"].endswith("profile=tdl(name='A').")
    code, out, _ = call("names", "fading", "rician")
    assert (code, "linear" in out) == (0, True)


@pytest.mark.slow
def test_every_name_that_is_listed_has_its_arguments_listed(call):
    _, out, _ = call("names", "--json")
    for each in json.loads(out)["families"]:
        code, out, err = call("names", each["family"])
        assert code == 0, err
        assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("asked", ["channels", "codecs", "link"])
def test_who_looks_for_a_list_is_sent_to_it(call, asked):
    code, _, err = call(asked)
    assert (code, "gainnet names" in err, "Did you mean" in err) == (2, True, False)


@pytest.mark.parametrize("arguments", [["nothing"], ["fading", "fog"], ["fading", "rician(k_factor=1)"]])
def test_names_that_are_none_are_one_line(call, arguments):
    code, _, err = call("names", *arguments)
    assert (code, len(err.splitlines())) == (2, 1)
