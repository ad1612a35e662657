"""A run's trained adapter as a folder of its own: to keep, to share, to use without results and data."""

from __future__ import annotations

import shutil
from pathlib import Path

from petl_bench.adapters.find import adapter_of_run
from petl_bench.adapters.merged import write_merged
from petl_bench.adapters.model import Needs, TrainedModel, load_model
from petl_bench.adapters.model_card import model_card
from petl_bench.adapters.peft_layout import PEFT, fits_peft, write_peft
from petl_bench.adapters.saved import CONFIG, TENSORS, read_config
from petl_bench.errors import AbsentError, UserError
from petl_bench.files import whole_folder, write_durably
from petl_bench.records import read_record


def export_run(run: Path, to: Path, needs: Needs | None = None, *, merge: bool = False) -> list[str]:
    """Write the folder ``to`` whole or not at all; a line for what it lacks because something is not here.

    Tensors and configuration as the run keeps them, a model card, and for LoRA the same once more as peft reads it.
    With ``merge`` in their place a checkpoint whose weights hold the update, and the head. Raises UserError where the
    run has no adapter, ``to`` holds something, the method cannot be merged, or what is needed cannot be read; OSError
    where it cannot be written.
    """
    adapter, record = adapter_of_run(run), read_record(run)
    config, lacking = read_config(adapter), list[str]()
    with whole_folder(to) as folder:
        if merge:
            write_merged(folder, _loaded(adapter, needs))
        else:
            for name in (TENSORS, CONFIG):
                shutil.copyfile(adapter / name, folder / name)
            try:
                model = _loaded(adapter, needs)
                if fits_peft(model.method):
                    write_peft(folder / PEFT, model)
            except AbsentError as error:  # what is copied needs neither backbone nor code
                lacking.append(f"exported without having been loaded, and without the layout of peft: {error}")
        with_peft = (folder / PEFT).is_dir()
        write_durably(folder / "README.md", model_card(record, config, merged=merge, with_peft=with_peft))
    return lacking


def _loaded(adapter: Path, needs: Needs | None) -> TrainedModel:
    try:
        return load_model(adapter, needs)
    except OSError as error:  # of what is read, not of what is written
        raise UserError(f"{error.filename or adapter} cannot be read: {error.strerror or error}") from error
