"""A plug-in whose model does what machines do: it dies or stops, alone or with its worker, or never ends; one after another."""

TEXT = '''"""A model with faults."""

import os
import pathlib
import signal


class Faulty:
    """The mean target of training rows, plus their first feature; on the way there, a fault."""

    kind = "faulty"

    def __init__(self, fault: str = "none", folder: str = ""):
        self.fault = fault
        self.folder = folder

    def fit(self, X, y, eras, rng):
        for fault in self.fault.split():
            mark = pathlib.Path(self.folder) / f"fault-{fault}"
            first = not mark.exists()
            mark.write_text(str(os.getpid()))
            if fault == "poison" or (fault == "child" and first):
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "stopped" and first:
                os.kill(os.getpid(), signal.SIGSTOP)
            if fault == "worker" and first:
                os.kill(os.getppid(), signal.SIGKILL)
                signal.pause()
            if fault == "halted" and first:
                os.kill(os.getppid(), signal.SIGSTOP)
                signal.pause()
            if fault == "endless" or (fault == "late" and first):
                signal.pause()
        self.mean_ = y.mean()

    def predict(self, X):
        return X[:, 0] + self.mean_
'''


CONFIG = """name: f
data: {source: synthetic, size: tiny}
splits: {train: train, embargo: {eras: 2, allow_leak: true}}
model: {kind: faulty, folder: FOLDER}
variants: {baseline: {}}
"""
