"""Fading from a measured SNR trace: one row is one fading block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.core.lines import lines_of, number_of, table_of
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.fading.blocks import CorrelatedBlocks
from gainnet.radio.fading.channel import check_block_length, transmit_blocks
from gainnet.radio.fading.jakes import Jakes

COLUMNS: Final = ("snr_db", "SNR")
"""Names of the column that is read: ours, and the one of the Irish 5G data set (Raca et al. 2020)."""

MIN_DB, MAX_DB = -200.0, 100.0
MIN_MEAN_DB: Final = -60.0
"""Stands for the mean SNR of a trace that is one outage; a link at this SNR carries nothing either."""
MAX_ROWS: Final = 10_000_000


@final
@dataclass(frozen=True)
class SnrTrace:
    r"""Channel whose blocks have the SNRs of a trace, time-scaled: a row stands for one block, however long it took.

    $h_b = \sqrt{\gamma_{(b_0 + b) \bmod N} / \bar\gamma}\; e^{j\theta_b}$, phases uniform, start $b_0$ uniform

    Gains have unit mean power over the trace (less if all of it is an outage), so a link that is to see the SNRs of the
    file has `mean_snr_db` as its mean SNR. The end of a trace is followed by its beginning.

    Args:
        snr_db: SNR of every row.
        block_length: channel uses of a block.

    Raises:
        ConfigError: no rows, a value out of range, or a block without channel uses.

    >>> channel = SnrTrace((0.0, 10.0), block_length=2)
    >>> round(channel.mean_snr_db, 2)
    7.4
    >>> gains = channel.gains(Random.of([1]), torch.tensor([[0, 1, 2]])).abs().square()
    >>> bool((gains[0, 0] - gains[0, 2]).abs() < 1e-6), round(float(gains[0, :2].mean()), 5)
    (True, 1.0)
    """

    snr_db: tuple[float, ...] = (3.0, 12.0, 8.0, 15.0, -2.0, 10.0)
    block_length: int = 256

    def __post_init__(self) -> None:
        if not self.snr_db:
            raise ConfigError("trace: it has no rows; must have at least one SNR")
        if not all(MIN_DB <= x <= MAX_DB for x in self.snr_db):
            raise ConfigError(f"trace: SNRs are out of range; must be {MIN_DB:g} to {MAX_DB:g} dB")
        check_block_length(self.block_length)

    @staticmethod
    def read(path: Path, block_length: int = 256) -> SnrTrace:
        """The trace in the column `snr_db` (or `SNR`) of a CSV file with a header.

        Args:
            path: the file; other columns are not read.
            block_length: channel uses that a row stands for.

        Raises:
            ConfigError: the file cannot be read, lacks the column, or a row holds no number in it.
        """
        lines = lines_of(path, "trace", "a CSV file with a column snr_db")
        columns, rows = table_of(lines, f"trace: {path}")
        return SnrTrace(tuple(_snrs_db(path, _column(path, columns), rows)), block_length)

    @property
    def mean_snr_db(self) -> float:
        """Mean of the linear SNRs, in dB; not below `MIN_MEAN_DB`, gains are smaller instead."""
        return max(linear_to_db(float(self._snr().mean())), MIN_MEAN_DB)

    @property
    def blocks(self) -> CorrelatedBlocks:
        """Of one process."""
        return CorrelatedBlocks(self.block_length, self.gains)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], gain of the block where the transmission starts."""
        return self.gains(random, torch.zeros(*random.batch, 1, dtype=torch.long))[..., 0]

    def gains(self, random: Random, blocks: Tensor) -> Tensor:
        """[*batch, num_blocks], complex64, gains of blocks [*batch, num_blocks]; each row has one phase."""
        snr = self._snr()
        start = (random.uniform((), "start").double() * len(snr)).long()
        rows = (start.unsqueeze(-1) + blocks.long()) % len(snr)
        # Steps of the golden ratio spread the phases of neighbouring rows evenly over the circle.
        turn = random.uniform((), "phase").unsqueeze(-1) + 0.6180339887 * rows
        magnitude = (snr / db_to_linear(self.mean_snr_db)).sqrt().float()
        return torch.polar(magnitude[rows], (2 * math.pi * (turn % 1.0)).float())

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Faded symbols plus noise; arguments as in `Channel.transmit`."""
        return transmit_blocks(self, symbols, snr, gain, random)

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        """As `Blockwise.block_gains`: the rows after the first one of this SNR."""
        own = self.gains(random, torch.arange(num_blocks).expand(*random.batch, num_blocks))
        return torch.cat([gain.to(own.dtype).unsqueeze(-1), own[..., 1:]], -1)

    def _snr(self) -> Tensor:
        return db_to_linear(torch.tensor(self.snr_db, dtype=torch.float64))


def write_generated_trace(path: Path, num_rows: int, mean_snr_db: float, doppler: float, random_seed: int) -> None:
    """Writes a trace with the columns time_s and snr_db: Jakes fading, sampled once per row.

    Args:
        path: file to write, whole.
        num_rows: how many rows, one per second.
        mean_snr_db: mean of the linear SNR over the rows, in dB.
        doppler: largest Doppler shift times the time between rows, see `Jakes`.
        random_seed: of the fading.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "drive.csv"
    ...     write_generated_trace(path, 4, mean_snr_db=10.0, doppler=0.05, random_seed=1)
    ...     lines = path.read_text().split()
    >>> lines[0], len(lines)
    ('time_s,snr_db', 5)
    """
    gains = Jakes(doppler=doppler).gains(Random.of(random_seed), torch.arange(num_rows))
    power = gains.abs().square()
    snr_db = mean_snr_db + linear_to_db((power / power.mean()).clamp_min(1e-12))
    rows = [f"{second},{value:.2f}" for second, value in enumerate(snr_db.tolist())]
    write_whole(path, ("\n".join(["time_s,snr_db", *rows]) + "\n").encode())


def _snrs_db(path: Path, name: str, rows: Iterable[tuple[int, dict[str, str]]]) -> Iterator[float]:
    last = 1
    for line, row in rows:
        where = f"trace: {path}, line {line}"
        # Empty lines are not among the rows, and are missing values, too.
        if line != last + 1:
            raise ConfigError(f"trace: {path}, line {last + 1} is empty; fill it or cut such rows out")
        last, value = line, row.get(name, "")
        if value.strip() in ("", "-"):
            raise ConfigError(f"{where} has a hole in {name}; fill it or cut such rows out")
        try:
            snr_db = number_of(value)
        except ValueError:
            raise ConfigError(f"{where} holds {value[:20]!r}, not a number of dB; mend that row") from None
        # NaN fails this comparison, too.
        if not MIN_DB <= snr_db <= MAX_DB:
            raise ConfigError(f"{where} holds {value[:20]} dB; must be {MIN_DB:g} to {MAX_DB:g} dB")
        yield snr_db
        if line > MAX_ROWS:
            raise ConfigError(f"trace: {path} has more than {MAX_ROWS} rows; cut it")


def _column(path: Path, columns: Iterable[str]) -> str:
    named = [name for name in COLUMNS if name in columns]
    if len(named) != 1:
        has = " and ".join(named) or "no column snr_db or SNR"
        raise ConfigError(f"trace: {path} has {has}; must have one of them, with the SNR in dB")
    return named[0]
