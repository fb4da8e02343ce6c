"""Files of the same content."""

import hashlib

from datasets.readers.duplicates import shared_contents


def test_digests_of_files_that_share_their_content(tmp_path):
    contents = [b"a" * 2000 + b"1", b"a" * 2000 + b"2", b"a" * 2000 + b"1", b"short", b"b" * 2001]
    paths = [tmp_path / str(i) for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    shared = hashlib.sha256(contents[0]).digest()
    assert shared_contents(paths) == [shared, None, shared, None, None]
    # The same file listed twice, and one that is missing twice.
    twice = [paths[3], tmp_path / "missing", paths[3], tmp_path / "missing"]
    short = hashlib.sha256(b"short").digest()
    assert shared_contents(twice) == [short, None, short, None]
