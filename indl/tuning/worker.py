"""The process of one trial: reads `job.json` of its folder and leaves model and result there.

``python -m indl.tuning.worker FOLDER PARENT``, with the process id of the search that started it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras

from indl.data.files.hdf5 import load_recording
from indl.files import write_json
from indl.training.fit import train
from indl.training.history import best_epoch
from indl.tuning.schema import read_job


class StopWithParent(keras.callbacks.Callback):
    """Ends the process when the search that started it is gone, so that a killed search leaves no worker behind."""

    def __init__(self, parent: int) -> None:
        super().__init__()
        self.parent = parent

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if os.getppid() != self.parent:
            os._exit(1)


def main(folder: Path, parent: int) -> None:
    """Trains the job in `folder` for the process `parent`."""
    job = read_job(folder / "job.json")
    result = train(
        job["params"],
        load_recording(job["recording"]),
        epochs=job["epochs"],
        hidden_every=job["hidden_every"],
        callbacks=[StopWithParent(parent)],
        folder=folder,
    )
    result.model.save(folder / "model.keras")
    write_json(folder / "history.json", result.history)
    epoch = best_epoch(result.history, result.monitor, result.first_epoch)
    metrics = {name: values[epoch] for name, values in result.history.items()}
    write_json(folder / "result.json", {**metrics, "best_epoch": epoch})
    # The trial is over: its state would only fill the disk.
    (folder / "state.npz").unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
