"""A table of features in a file, with a checksum per clip that is compared when a clip is first used in a process."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from petl_bench.errors import DamagedCacheError

Shape = tuple[int, int, int]


class FeatureTable:
    """Log-mel of all clips, ``[clips, frames, bins]`` float32, mapped from a ``.npy`` file that ends in checksums."""

    def __init__(self, path: Path, values: npt.NDArray[np.float32], checksums: npt.NDArray[np.uint32]) -> None:
        self.path = path
        self.shape = values.shape
        self._values = values
        self._checksums = checksums
        self._compared = np.zeros(len(values), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._values)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self[:], dtype)

    def __getitem__(self, clips: int | slice | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Features of a clip, ``[frames, bins]``, or of several, ``[clips, frames, bins]``.

        Raises DamagedCacheError, and removes the file, where one of them is damaged: the table is then made anew.
        """
        values: npt.NDArray[np.float32] = self._values[clips]
        if self._compared[clips].all():
            return values
        numbers = np.atleast_1d(np.arange(len(self))[clips])
        for number, of_clip in zip(numbers, values.reshape(-1, *self.shape[1:]), strict=True):
            if not self._compared[number] and zlib.crc32(of_clip.tobytes()) != self._checksums[number]:
                self.path.unlink(missing_ok=True)
                raise DamagedCacheError(
                    f"{self.path} was damaged and is removed: the same command makes the features anew and goes on"
                )
        self._compared[numbers] = True
        return values


def write_header(file: IO[bytes], shape: Shape) -> None:
    """Begin a table's file."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def write_clips(file: IO[bytes], values: npt.NDArray[np.float32]) -> list[int]:
    """Write clips, ``[clips, frames, bins]``, to a table's file; their checksums."""
    file.write(values.tobytes())
    return [zlib.crc32(clip.tobytes()) for clip in values]


def write_checksums(file: IO[bytes], checksums: Iterable[int]) -> None:
    """End a table's file."""
    file.write(np.array(list(checksums), dtype="<u4").tobytes())


def open_table(path: Path, shape: Shape) -> FeatureTable | None:
    """The table in a file, or None where there is none of this shape, or it is cut off."""
    try:
        values = np.lib.format.open_memmap(path, mode="r")
        end = values.offset + values.nbytes
        if values.shape != shape or values.dtype != np.float32 or not values.flags.c_contiguous:
            return None
        if path.stat().st_size != end + 4 * shape[0]:
            return None
        return FeatureTable(path, values, np.fromfile(path, dtype="<u4", offset=end))
    except Exception:  # numpy raises many things over a damaged header
        return None
