"""Keeps the files of a folder in a store on disk that hf_xet makes itself: its own
chunks of about 64 KiB cut by content, its own compression and its own files.

xet.py put STORE FOLDER LIST writes to LIST what get needs; xet.py get STORE LIST FOLDER
makes the folder again.
"""

import json
import pathlib
import sys

import hf_xet


def put(endpoint, folder, names):
    commit = hf_xet.XetSession().new_upload_commit(endpoint=endpoint)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for path in files:
        commit.start_upload_file(str(path))
    infos = {u.tracking_name: u.xet_info for u in commit.wait_to_finish().uploads.values()}
    made = {str(p.relative_to(folder)): [infos[str(p)].hash, infos[str(p)].file_size] for p in files}
    names.write_text(json.dumps(made))


def get(endpoint, names, folder):
    group = hf_xet.XetSession().new_file_download_group(endpoint=endpoint)
    for path, (digest, size) in json.loads(names.read_text()).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        group.start_download_file(hf_xet.XetFileInfo(digest, size), str(folder / path))
    group.wait_to_finish()


what, store, source, target = sys.argv[1:]
{"put": put, "get": get}[what]("local://" + str(pathlib.Path(store).resolve()), pathlib.Path(source).resolve(), pathlib.Path(target).resolve())
