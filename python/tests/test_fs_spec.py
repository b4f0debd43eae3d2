"""What fsspec itself wants of a file system: copy, get, put, open and pipe.

The file system is that of a strict fake, or of the registry that INGOT_TEST_REGISTRY
names.
"""

import os

import pytest

abstract = pytest.importorskip("fsspec.tests.abstract")

from fsspec.implementations.local import LocalFileSystem  # noqa: E402

from ingot.fs import IngotFileSystem  # noqa: E402


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, fake_hub):
        address = os.environ.get("INGOT_TEST_REGISTRY") or fake_hub().address
        return IngotFileSystem(registry=address, skip_instance_cache=True)

    @pytest.fixture
    def fs_path(self):
        return "spec/tiny:main/some"

    @pytest.fixture
    def local_fs(self):
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def supports_empty_directories(self):
        return False


class TestCopy(Fixtures, abstract.AbstractCopyTests):
    pass


class TestGet(Fixtures, abstract.AbstractGetTests):
    pass


class TestPut(Fixtures, abstract.AbstractPutTests):
    pass


class TestPipe(Fixtures, abstract.AbstractPipeTests):
    pass


class TestOpen(Fixtures, abstract.AbstractOpenTests):
    pass
