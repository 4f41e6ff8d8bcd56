"""Files of recorded ways: SUMO's floating car data, GPX, and tables."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, dropwhile, takewhile
from pathlib import Path
from typing import IO, Any, Final
from xml.parsers import expat

from gainnet.core.errors import ConfigError
from gainnet.core.lines import bounded_lines, number_of, table_of
from gainnet.network.tracks import Sample, Tracks, tracks_of

_CHUNK = 1 << 16
_MARGIN_S = 60.0
_KM_PER_H = 1 / 3.6


def read_tracks(path: Path, start_s: float | None = None, longest_s: float = math.inf) -> Tracks:
    """The tracks of a file, recognised by what is in it; gzipped or not.

    - XML with `fcd-export`: SUMO's floating car data (`sumo --fcd-output`), in metres or degrees, read as a stream
    - XML with `gpx`: a track per vehicle, in degrees; a time that is not there cannot be guessed
    - CSV with `time_s, vehicle, x_m, y_m`, or `lon, lat` in degrees; a vehicle is there from its first to its last row
    - CSV with `Timestamp, Longitude, Latitude, SNR`: measurements of one phone (Raca et al. 2020)
    - `.sumocfg`: a scenario of SUMO, which is driven if it is installed

    Args:
        path: the file.
        start_s: time of the file from which on it is read, where it is in order of time: that of SUMO.
        longest_s: for how long; a minute more is read, so that the end lies between two samples.

    Raises:
        ConfigError: it cannot be read, a number is wrong, or time goes back; the line is named.
    """
    if path.name.endswith(".sumocfg"):
        from gainnet.network.sumo import drive

        # It is driven from its beginning in any case.
        return drive(path, (start_s or 0.0) + longest_s + _MARGIN_S)
    with _opened(path) as file:
        head = file.peek(512)[:512].lstrip(b"\xef\xbb\xbf \r\n\t")
        if head.startswith(b"<"):
            return _of_xml(path.name, file, start_s, longest_s)
        return _of_table(path.name, file)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader[Any]]:
    """The content, unpacked where it is gzipped, whatever the file is called."""
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] != b"\x1f\x8b":
                yield raw
                return
            with io.BufferedReader(gzip.GzipFile(fileobj=raw)) as unpacked:
                yield unpacked
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"mobility.path: {path} cannot be read ({why}); give FCD XML, GPX or CSV") from None


def _of_xml(name: str, file: IO[bytes], start_s: float | None, longest_s: float) -> Tracks:
    document = _XmlSamples(name)
    samples = document.read(file)
    first = next(samples, None)
    every = samples if first is None else chain([first], samples)
    # Which kind of document it is, is known once there is a sample; tracks of GPX follow one another.
    if first is not None and document.degrees is None:
        begin_s = first.time_s if start_s is None else start_s
        later = dropwhile(lambda sample: sample.time_s < begin_s, every)
        every = takewhile(lambda sample: sample.time_s <= begin_s + longest_s + _MARGIN_S, later)
    return tracks_of(name, every, document.degrees)


class _XmlSamples:
    """Samples as a stream, with the lines they stand in; nothing of the document is kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[Sample] = []
        self.time_s = math.nan
        self.num_tracks = 0
        self.degrees: bool | None = None
        self.place: tuple[float, float] | None = None
        self.text = ""
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        # A document type can define entities that unpack to gigabytes.
        self.parser.StartDoctypeDeclHandler = self._refuse

    def read(self, file: IO[bytes]) -> Iterator[Sample]:
        try:
            while chunk := file.read(_CHUNK):
                self.parser.Parse(chunk, False)
                yield from self.found
                self.found.clear()
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise ConfigError(f"mobility: {self.name}: not XML ({error}); mend it") from None

    def _refuse(self, *_: Any) -> None:
        raise self._wrong("has a document type, which no track needs; remove it")

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"mobility: {self.name}, line {self.parser.CurrentLineNumber}: {what}")

    def _number(self, attributes: Mapping[str, str], key: str) -> float:
        try:
            value = float(attributes[key])
        except (KeyError, ValueError):
            raise self._wrong(f"{key} is not a number; give one") from None
        if not math.isfinite(value):
            raise self._wrong(f"{key} is not a finite number; give one")
        return value

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        self.text = ""
        if tag == "timestep":
            time_s = self._number(attributes, "time")
            if time_s < self.time_s:
                raise self._wrong(f"time goes back from {self.time_s:.12g} s to {time_s:.12g} s")
            if time_s == self.time_s:
                raise self._wrong(f"the time {time_s:.12g} s is there twice")
            self.time_s = time_s
        elif tag == "vehicle" and "id" in attributes:
            place = self._number(attributes, "x"), self._number(attributes, "y")
            speed = self._number(attributes, "speed") if "speed" in attributes else math.nan
            self._add(self.time_s, attributes["id"], place, speed)
        elif tag == "trk":
            self.num_tracks += 1
        elif tag == "trkpt":
            self.degrees = True
            self.place = self._number(attributes, "lon"), self._number(attributes, "lat")

    def _characters(self, text: str) -> None:
        self.text += text

    def _end(self, tag: str) -> None:
        if tag.rpartition(":")[2] == "time" and self.place is not None:
            try:
                moment = datetime.fromisoformat(self.text.strip())
            except ValueError:
                raise self._wrong(
                    f"{self.text.strip()[:40]!r} is not a time; give one as 2026-01-31T12:00:00Z"
                ) from None
            self._add(_seconds(moment), f"track {self.num_tracks:04d}", self.place, math.nan)
            self.place = None
        elif tag.rpartition(":")[2] == "trkpt" and self.place is not None:
            raise self._wrong("a point has no time; give a track that was recorded")

    def _add(self, time_s: float, vehicle: str, place: tuple[float, float], speed: float) -> None:
        if math.isnan(time_s):
            raise self._wrong("a vehicle stands outside of a timestep")
        self.found.append(Sample(time_s, vehicle, *place, self.parser.CurrentLineNumber, speed))


def _seconds(moment: datetime) -> float:
    # Without a zone it is the same everywhere: days of 23 hours would move vehicles.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _of_table(name: str, file: io.BufferedReader[Any]) -> Tracks:
    columns, rows = table_of(bounded_lines(file, "mobility", name), f"mobility: {name}")
    for needed, row, degrees in _TABLES:
        if needed <= set(columns):
            return tracks_of(name, _rows(name, rows, row), degrees)
    offered = "; or ".join(", ".join(sorted(needed)) for needed, _, _ in _TABLES)
    raise ConfigError(f"mobility.path: {name} needs the columns {offered}")


def _rows(
    name: str, rows: Iterable[tuple[int, dict[str, str]]], row: Callable[[dict[str, str], int], Sample]
) -> Iterator[Sample]:
    last: Sample | None = None
    for line, fields in rows:
        try:
            sample = row(fields, line)
        except (KeyError, ValueError, TypeError) as error:
            raise ConfigError(f"mobility: {name}, line {line}: needs numbers ({error})") from None
        if not all(math.isfinite(x) for x in (sample.time_s, sample.x, sample.y)):
            raise ConfigError(f"mobility: {name}, line {line}: needs finite numbers")
        # A phone writes several rows a second; the first has the position.
        if row is _phone and last is not None and sample.time_s == last.time_s:
            continue
        last = sample
        yield sample


def _metre(fields: dict[str, str], line: int) -> Sample:
    return _placed(fields, "x_m", "y_m", line)


def _degree(fields: dict[str, str], line: int) -> Sample:
    return _placed(fields, "lon", "lat", line)


def _placed(fields: dict[str, str], x: str, y: str, line: int) -> Sample:
    return Sample(number_of(fields["time_s"]), fields["vehicle"], number_of(fields[x]), number_of(fields[y]), line)


def _phone(fields: dict[str, str], line: int) -> Sample:
    time_s = _seconds(datetime.strptime(fields["Timestamp"], "%Y.%m.%d_%H.%M.%S"))
    snr_db = math.nan if fields["SNR"] in ("-", "") else number_of(fields["SNR"])
    speed = number_of(fields.get("Speed", "nan")) * _KM_PER_H
    return Sample(time_s, "phone", number_of(fields["Longitude"]), number_of(fields["Latitude"]), line, speed, snr_db)


_TABLES: Final = (
    (frozenset({"time_s", "vehicle", "x_m", "y_m"}), _metre, False),
    (frozenset({"time_s", "vehicle", "lon", "lat"}), _degree, True),
    (frozenset({"Timestamp", "Longitude", "Latitude", "SNR"}), _phone, True),
)
