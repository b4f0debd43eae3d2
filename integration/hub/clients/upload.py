"""Uploads a folder with huggingface_hub, as one commit more. argv: REPO FOLDER"""

import sys

import huggingface_hub as hub

from told import ran, tell

repo, folder = sys.argv[1:]
api = hub.HfApi()
api.create_repo(repo, exist_ok=True)
done = api.upload_folder(folder_path=folder, repo_id=repo)
ran("upload_folder")
tell(version=hub.__version__, snapshot=hub.snapshot_download(repo), commit=done.oid)
