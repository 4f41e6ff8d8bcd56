"""Networks from files: what they say is what runs, and mistakes are one line."""

import pytest

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import air_of
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Size

GOOD = """
detection_s = 0.2
[nodes.device]
kind = "device"
hardware = "phone"
[nodes.north]
kind = "edge"
hardware = "edge_l4"
[nodes.south]
kind = "edge"
hardware = "edge_a100"
[media.cell]
kind = "air"
snr_db = 3.0
bandwidth_hz = 2e6
[media.fibre]
kind = "wire"
delay_s = 2e-3
[[links]]
between = ["device", "north"]
medium = "cell"
[[links]]
between = ["device", "south"]
medium = "cell"
snr_db = 12.0
[[links]]
between = ["north", "south"]
medium = "fibre"
"""


def network(text, tmp_path):
    (tmp_path / "net.toml").write_text(text)
    return air_of(GenerationConfig(("x",), network=str(tmp_path / "net.toml")))


def test_what_it_says_is_what_runs(tmp_path):
    net = network(GOOD, tmp_path)
    assert net.edges == ("north", "south")
    assert net.detection_s == 0.2
    up, other = (net.link("device", edge, Bits) for edge in net.edges)
    assert (up.air.snr_db, other.air.snr_db, up.air.bandwidth_hz, up.medium) == (3.0, 12.0, 2e6, other.medium)
    assert net.direction("north", "south") == "backhaul"
    there, back = net.link("north", "south", Bits), net.link("south", "north", Bits)
    assert there.medium != back.medium
    assert there.usage(Size.fixed(1e6), 1).duration_s == pytest.approx(2e-3 + 1e-3)
    assert there.usage(Size.fixed(1e6), 1).num_channel_uses == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "device"', 'kind = "phone"', "nodes.device.kind"),
        ("[nodes.device]", "[nodes.handset]", "exactly one device"),
        ('hardware = "edge_l4"', 'hardware = "toaster"', "toaster"),
        ('medium = "fibre"', 'medium = "pigeon"', "pigeon"),
        ('between = ["north", "south"]', 'between = ["north", "west"]', "west"),
        ('between = ["north", "south"]', 'between = ["north", "north"]', "ends where it begins"),
        ('between = ["device", "south"]', 'between = ["north", "south"]', "no link between"),
        ("snr_db = 3.0", 'snr_db = "loud"', "media.cell"),
        ("snr_db = 3.0", "snr_db = 3000.0", "snr_db"),
        ("delay_s = 2e-3", "delay_s = -1.0", "delay_s"),
        ("detection_s = 0.2", "detection_s = -0.2", "detection_s"),
        ("detection_s = 0.2", "colour = 'red'", "colour"),
        ("detection_s = 0.2", "= 3", "not TOML"),
    ],
)
def test_mistakes_are_one_line(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message) as caught:
        network(GOOD.replace(old, new), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_number_beside_a_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        air_of(GenerationConfig(("x",), network=str(tmp_path / "none.toml")))
    with pytest.raises(ConfigError, match="num_edges"):
        GenerationConfig(("x",), network="net.toml", num_edges=2)
