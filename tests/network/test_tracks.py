"""Tracks of SUMO, GPX and tables: what is there, when, and what is refused."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.network.track_files import read_tracks
from gainnet.network.tracks import EARTH_M, Tracks

TIMES_S = torch.tensor([0.0, 2.5, 10.0], dtype=torch.float64)


def table(folder: Path, lines: list[str], header: str = "time_s,vehicle,x_m,y_m") -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def fcd(
    folder: Path, steps: list[tuple[float, list[tuple[str, float, float, float]]]], name: str = "fcd.xml.gz"
) -> Path:
    """A file as `sumo --fcd-output` writes it."""
    rows = ['<?xml version="1.0" encoding="UTF-8"?>', "<fcd-export>"]
    for time_s, vehicles in steps:
        rows.append(f'  <timestep time="{time_s:.2f}">')
        rows += [f'    <vehicle id="{v}" x="{x}" y="{y}" speed="{s}" lane="a_0"/>' for v, x, y, s in vehicles]
        rows.append('    <person id="p" x="0" y="0"/>\n  </timestep>')
    content = "\n".join([*rows, "</fcd-export>"]).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def test_a_table_is_followed(tmp_path: Path) -> None:
    path = table(tmp_path, ["0,a,0,0", "10,a,10,20", "0,b,5,5", "10,b,5,5"])
    found = read_tracks(path).positions(2, TIMES_S, Random.of([1, 2]))
    assert found.shape == (2, 3, 2, 2)
    assert found[0, :, 0].tolist() == [[0, 0], [2.5, 5], [10, 20]]
    assert found[1, :, 1].tolist() == [[5, 5]] * 3


def test_vehicles_come_and_go(tmp_path: Path) -> None:
    found = read_tracks(table(tmp_path, ["0,early,1,1", "4,early,5,1", "2,late,7,7", "10,late,7,15"])).at(TIMES_S)
    assert [[math.isnan(x) for x in row] for row in found[..., 0].tolist()] == [
        [False, True], [False, False], [True, False],
    ]  # fmt: skip
    assert found[1].tolist() == [[3.5, 1.0], [7.0, 7.5]]


def test_who_was_away_for_long_is_not_in_between(tmp_path: Path) -> None:
    rows = [f"{t},a,{t},0" for t in (*range(5), *range(100, 105))]
    there = ~read_tracks(table(tmp_path, rows)).at(torch.tensor([3.5, 50.0, 102.5]).double()).isnan().any(-1)
    assert there.flatten().tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["fcd.xml.gz", "fcd.xml", "packed_under_another_name.xml"])
def test_floating_car_data_are_read(tmp_path: Path, name: str) -> None:
    path = fcd(tmp_path, [(0, [("a", 0, 0, 10)]), (1, [("a", 10, 0, 10), ("b", 5, 5, 0)])], name)
    if name.startswith("packed"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    tracks = read_tracks(path)
    assert tracks.vehicles == ("a", "b")
    assert tracks.at(torch.tensor([0.5, 1.0]).double())[:, 0].tolist() == [[5, 0], [10, 0]]


def test_a_long_file_is_read_as_far_as_it_is_asked_for(tmp_path: Path) -> None:
    path = fcd(tmp_path, [(t, [("a", t, 0, 1)]) for t in range(2000)])
    tracks = read_tracks(path, start_s=100.0, longest_s=50.0)
    assert tracks.span_s == (100.0, 210.0)
    # What comes later is not even looked at.
    content = gzip.decompress(path.read_bytes()).replace(b'time="1900.00"', b'time="none"')
    path.write_bytes(content)
    assert read_tracks(path, start_s=100.0, longest_s=50.0).span_s == (100.0, 210.0)
    with pytest.raises(ConfigError, match="time is not a number"):
        read_tracks(path)


def test_degrees_become_metres_where_speeds_say_so(tmp_path: Path) -> None:
    """A degree of latitude is 111.2 km; at 60 degrees one of longitude is half of that."""
    step = 10 / 111_195
    geo = fcd(
        tmp_path, [(t, [("a", 8.0 + 2 * step * t, 60.0, 10.0), ("b", 8.0, 60.0 + step * t, 10.0)]) for t in range(4)]
    )
    moved = np.diff(read_tracks(geo).points_m.reshape(2, 4, 2), axis=1)
    assert np.linalg.norm(moved, axis=-1) == pytest.approx(10.0, rel=1e-3)
    near = fcd(tmp_path, [(t, [("a", 10.0 * t, 0.0, 10.0)]) for t in range(4)])
    assert np.ptp(read_tracks(near).points_m, axis=0).tolist() == [30.0, 0.0]


def test_a_table_of_degrees(tmp_path: Path) -> None:
    tracks = read_tracks(table(tmp_path, ["0,a,8,0", "60,a,8.01,0"], "time_s,vehicle,lon,lat"))
    assert float(np.ptp(tracks.points_m[:, 0])) == pytest.approx(EARTH_M * math.radians(0.01), rel=1e-6)


def test_gpx(tmp_path: Path) -> None:
    points = "".join(
        f'<trkpt lat="{51.9 + 1e-4 * k}" lon="-8.5"><ele>3</ele><time>2026-01-31T12:00:{k:02d}Z</time></trkpt>'
        for k in range(3)
    )
    path = tmp_path / "way.gpx"
    path.write_text(f'<gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>')
    tracks = read_tracks(path)
    assert tracks.vehicles == ("track 0001",)
    assert np.diff(tracks.points_m[:, 1]) == pytest.approx(11.12, rel=1e-3)
    path.write_text('<gpx><trk><trkseg><trkpt lat="1" lon="1"></trkpt></trkseg></trk></gpx>')
    with pytest.raises(ConfigError, match="line 1: a point has no time"):
        read_tracks(path)


def test_a_jump_is_told_with_time_and_vehicle_and_kept(tmp_path: Path) -> None:
    path = table(tmp_path, ["0,a,0,0", "1,a,71,0", "2,a,141,0", "0,b,900,0", "9,b,901,0"])
    with pytest.warns(UserWarning, match="a jumps at 1 s with 71 m/s; kept") as told:
        tracks = read_tracks(path)
    assert len(told) == 1
    assert tracks.at(torch.tensor([1.0]).double())[0, 0].tolist() == [71.0, 0.0]


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["0,a,x,1"], "line 2: needs numbers"),
        (["0,a,nan,1"], "line 2: needs finite numbers"),
        (["0,a,1,1", "1,a,1,1", "0.5,a,1,1"], "line 4: a goes back from 1 s to 0.5 s"),
        (["0,a,1,1", "0,b,1,1", "0,a,2,2"], "line 4: a is there twice at 0 s"),
        ([], "no vehicle at any time"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, lines: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        read_tracks(table(tmp_path, lines))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('<fcd-export>\n<timestep time="1"/>\n<timestep time="0.5"/>', "line 3: time goes back from 1 s to 0.5 s"),
        ('<fcd-export>\n<timestep time="1"/>\n<timestep time="1"/>', "line 3: the time 1 s is there twice"),
        (
            '<fcd-export>\n<timestep time="1">\n<vehicle id="v" x="1" y="1"/>\n<vehicle id="v" x="2" y="1"/>',
            "line 4: v is there twice at 1 s",
        ),
        ('<fcd-export>\n<timestep time="1"><vehicle id="v" x="one" y="1"/></timestep>', "line 2: x is not a number"),
        ('<fcd-export>\n<timestep time="1"><vehicle id="v" y="1"/></timestep>', "line 2: x is not a number"),
        ("<fcd-export>\n<timestep", "not XML"),
        ("<fcd-export></fcd-export>", "no vehicle at any time"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>\n<fcd-export/>', "document type"),
        ("no columns\n1", "needs the columns"),
        ("time_s,vehicle,x_m,y_m\n0,a,\0,1", "needs numbers|cannot be read"),
        ("\x1f\udc8b\x08\0\0\0\0\0\0\0none", "cannot be read"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=match):
        read_tracks(path)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = fcd(tmp_path, [(t, [("a", t, 0, 1)]) for t in range(500)])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tracks(path)


def test_a_short_track_is_refused(tmp_path: Path) -> None:
    tracks = read_tracks(table(tmp_path, ["0,a,0,0", "1,a,1,1"]))
    with pytest.raises(ConfigError, match="1 vehicles"):
        tracks.positions(2, torch.tensor([0.0, 1.0]), Random.of(1))
    with pytest.raises(ConfigError, match="lasts"):
        tracks.positions(1, torch.tensor([0.0, 9.0]), Random.of(1))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tracks(tmp_path / "none.csv")


def test_a_phone_gives_way_and_signal(tmp_path: Path) -> None:
    rows = [
        "2019.12.14_10.16.30,-8.5,51.9,36,12.0",
        "2019.12.14_10.16.30,-8.5,51.9,36,13.0",
        "2019.12.14_10.16.32,-8.5,51.90018,36,-",
    ]
    tracks = read_tracks(table(tmp_path, rows, "Timestamp,Longitude,Latitude,Speed,SNR"))
    assert float(np.ptp(tracks.points_m[:, 1])) == pytest.approx(20.0, rel=0.01)
    start = torch.tensor([tracks.span_s[0]], dtype=torch.float64)
    assert float(tracks.snr_at(start)) == 12.0
    assert isinstance(tracks.only(torch.tensor([0])), Tracks)
