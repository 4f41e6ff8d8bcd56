"""Hardware by name or by file; what is wrong is named."""

import pytest

from gainnet.core.errors import ConfigError, PlanError
from gainnet.core.types import Bits, NodeId
from gainnet.network import DEVICE, EDGE, Hardware, cell, profile, profiles
from gainnet.radio import Ideal

FIELDS = dict.fromkeys(Hardware.__dataclass_fields__, 1.0)


def toml(fields):
    return "".join(f"{key} = {value}\n" for key, value in fields.items())


def test_duration_is_flops_over_the_rate_that_is_reached():
    hardware = Hardware(**(FIELDS | {"peak_flops_per_s": 1e12, "efficiency": 0.5}))
    assert hardware.duration_s(1e12) == 2.0


def test_a_file_is_a_profile(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(toml(FIELDS))
    assert profile(str(path)) == Hardware(**FIELDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (toml(FIELDS | {"efficiency": 2.0}), "efficiency"),
        (toml(FIELDS | {"memory_bytes": -1}), "memory_bytes"),
        (toml(FIELDS | {"idle_power_w": "nan"}), "idle_power_w"),
        (toml(FIELDS | {"colour": 1}), "colour"),
        (toml(FIELDS | {"efficiency": '"half"'}), "must be a number"),
        (toml({"efficiency": 1.0}), "misses"),
        ("= 1", "not TOML"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        profile(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_names_and_files_are_named():
    with pytest.raises(ConfigError, match="phone"):
        profile("toaster")
    with pytest.raises(ConfigError, match="cannot be read"):
        profile("nowhere.toml")


def test_a_phone_is_slower_than_an_edge():
    assert profiles()["phone"].flops_per_s < profiles()["edge_a100"].flops_per_s


def test_directions_and_missing_bearers():
    net = cell(profile("edge_l4"), profile("phone"), (Ideal(),), ())
    assert net.direction(DEVICE, EDGE) == "up"
    assert net.link(DEVICE, EDGE, Bits) == Ideal()
    with pytest.raises(PlanError, match="carries nothing"):
        net.link(EDGE, DEVICE, Bits)
    with pytest.raises(PlanError, match="not in the network"):
        net.node(NodeId("moon"))
