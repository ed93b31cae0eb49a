"""What examples and programs of the documents need around them: a hub, or a model beside them."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny_model
from fake_hub import FakeHub, Lfs


@contextlib.contextmanager
def hub():
    """The environment of a program whose hub has org/tiny, and loses its first connections."""
    files = tiny_model.files()
    files["model.safetensors"] = Lfs(files["model.safetensors"])
    with FakeHub() as server, tempfile.TemporaryDirectory() as folder:
        server.add("org/tiny", files)
        server.fault("org/tiny/model.safetensors", cut=100_000, times=1)
        yield os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_CACHE": folder, "HF_TOKEN": ""}


@contextlib.contextmanager
def model_beside(program):
    """A copy of the program that has a folder `model` beside it."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        model.mkdir()
        for name, content in tiny_model.files().items():
            (model / name).write_bytes(content)
        yield shutil.copy(program, folder)
