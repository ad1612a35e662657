"""A table of what was computed of every clip, in a file that processes share: made once, compared when first used."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from petl_bench.claims import Claims, Owner
from petl_bench.errors import DamagedCacheError, UserError
from petl_bench.files import whole_file
from petl_bench.locations import cache_folder, unwritable_cache

Shape = tuple[int, ...]
LOOK_SECONDS = 0.5
"""How often a process looks whether another has made what both need."""


class ClipTable:
    """Values of all clips, ``[clips, ...]`` float32, mapped from a ``.npy`` file that ends in a checksum per clip."""

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
        """Values of a clip, ``[...]``, or of several, ``[clips, ...]``.

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
                    f"{self.path} was damaged and is removed: the same command makes it anew and goes on"
                )
        self._compared[numbers] = True
        return values


class Writer:
    """Takes the values of clips, in order."""

    def __init__(self, file: IO[bytes]) -> None:
        self.checksums: list[int] = []
        self._file = file

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Values of the next clips, ``[clips, ...]``."""
        self._file.write(values.tobytes())
        self.checksums += [zlib.crc32(clip.tobytes()) for clip in values]


@contextmanager
def writing_table(path: Path, shape: Shape) -> Iterator[Writer]:
    """Write a table's file, whole or not at all. Raises OSError."""
    for left in path.parent.glob(f".{path.name}.*"):  # by a process that died: nobody else is here
        left.unlink(missing_ok=True)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        writer = Writer(file)
        yield writer
        file.write(np.array(writer.checksums, dtype="<u4").tobytes())


def open_table(path: Path, shape: Shape) -> ClipTable | None:
    """The table in a file, or None where there is none of this shape, or it is cut off."""
    try:
        values = np.lib.format.open_memmap(path, mode="r")
        end = values.offset + values.nbytes
        if values.shape != shape or values.dtype != np.float32 or not values.flags.c_contiguous:
            return None
        if path.stat().st_size != end + 4 * shape[0]:
            return None
        return ClipTable(path, values, np.fromfile(path, dtype="<u4", offset=end))
    except Exception:  # numpy raises many things over a damaged header
        return None


def made_once(path: Path, find: Callable[[], ClipTable | None], make: Callable[[], None]) -> ClipTable:
    """What ``find`` gives, after ``make`` where that is nothing; of several processes one makes, the others wait.

    Raises UserError where the cache cannot be written to.
    """
    claims = Claims(cache_folder() / "claims")
    while (table := find()) is None:
        try:
            claim = claims.take(path.stem)
        except OSError as error:
            raise unwritable_cache(path.parent, error) from error
        if isinstance(claim, Owner):
            time.sleep(LOOK_SECONDS)
            continue
        with claim:
            if (table := find()) is None:
                make()
                if (table := find()) is None:
                    raise UserError(f"{path} was removed while it was made; start again")
    return table
