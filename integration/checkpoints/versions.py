"""Unpacks models of which packages ship several versions into FOLDER/MODEL/VERSION.

Folders are named so that their order is that of the versions. Only files that hold
weights are taken. Nothing of a package is run.
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

# model: (versions of the package, oldest first; folder inside its wheel; endings)
MODELS = {
    "silero-vad": (["5.1.2", "6.0.0", "6.1.0", "6.2.0", "6.2.3"], "silero_vad/data/", ("silero_vad.jit", "silero_vad.onnx")),
    "magika": (["0.5.1", "0.6.1", "0.6.3", "1.0.3"], "magika/models/", ("model.onnx",)),
}


def unpack(package, version, inside, endings, target):
    with tempfile.TemporaryDirectory() as tmp:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", tmp]
        subprocess.run([*pip, f"{package}=={version}"], check=True)
        (wheel,) = pathlib.Path(tmp).glob("*.whl")
        with zipfile.ZipFile(wheel) as z:
            for name in sorted(z.namelist()):
                if name.startswith(inside) and name.endswith(endings):
                    target.mkdir(parents=True, exist_ok=True)
                    (target / pathlib.PurePosixPath(name).name).write_bytes(z.read(name))


def main():
    (folder,) = map(pathlib.Path, sys.argv[1:])
    for package, (versions, inside, endings) in MODELS.items():
        for version in versions:
            unpack(package, version, inside, endings, folder / package / version)


if __name__ == "__main__":
    main()
