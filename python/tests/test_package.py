"""The package as it is built and installed: what others find of it."""

import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("hatchling")
pytest.importorskip("fsspec")

PROGRAM = """
import importlib.metadata, sys
import fsspec
assert "ingot.fs" not in sys.modules  # it is there when it is asked for
assert "ingot" in fsspec.available_protocols()
assert fsspec.get_filesystem_class("ingot").__module__ == "ingot.fs"
fs, path = fsspec.url_to_fs("ingot://acme/llama:prod/config.json", registry="http://127.0.0.1:9")
assert (type(fs).__name__, path) == ("IngotFileSystem", "acme/llama:prod/config.json")
assert fsspec.open("ingot://acme/llama/a", registry="http://127.0.0.1:9").path == "acme/llama/a"
[plugin] = importlib.metadata.entry_points(group="vllm.general_plugins")
assert plugin.load().__module__ == "ingot.vllm_plugin"
assert importlib.metadata.version("ingot") == __import__("ingot").__version__
print(fsspec.get_filesystem_class("ingot").__init__.__globals__["__file__"])
"""


def test_what_an_installation_offers(tmp_path):
    python = pathlib.Path(__file__).parents[1]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", tmp_path / "site", python], check=True, cwd=tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "site" / "ingot" / "fs.py")


def test_without_fsspec(tmp_path):
    (tmp_path / "fsspec.py").write_text("raise ImportError('there is none')")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{pathlib.Path(__file__).parents[1] / 'src'}"}
    program = "import ingot; ingot.snapshot_download, ingot.resolve"
    subprocess.run([sys.executable, "-c", program], env=env, check=True)
