"""Has several writers commit to one branch at a time. argv: REPO WRITERS COMMITS

Each writer is a process, as on as many machines. All commits land, in some order.
"""

import concurrent.futures
import multiprocessing
import sys

import huggingface_hub as hub

from told import ran, tell

repo, writers, commits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def write(writer):
    api = hub.HfApi()
    return [
        api.upload_file(path_or_fileobj=f"{writer} {i}".encode(), path_in_repo=f"{writer}/{i}.txt", repo_id=repo).oid
        for i in range(commits)
    ]


if __name__ == "__main__":
    api = hub.HfApi()
    api.create_repo(repo)
    with concurrent.futures.ProcessPoolExecutor(writers, mp_context=multiprocessing.get_context("fork")) as pool:
        made = {oid for oids in pool.map(write, range(writers)) for oid in oids}
    assert len(made) == writers * commits, made
    history = {c.commit_id for c in api.list_repo_commits(repo)}
    assert made <= history, made - history
    files = set(api.list_repo_files(repo)) - {".gitattributes"}
    assert files == {f"{w}/{i}.txt" for w in range(writers) for i in range(commits)}, files
    ran("upload_file from many at a time")
    tell(version=hub.__version__)
