"""Fetching a dataset from a server on this machine: resumed, verified, unpacked whole, or one line."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from host import cli
from host.dataset import command, download, find, folder
from host.dataset.download import Archive
from host.errors import TokayError


@dataclass
class Server:
    """What it serves and how it misbehaves; which requests it got."""

    data: bytes
    ranges: bool | None = True  # None: refused, with 416
    cut_after: list[int] = field(default_factory=list)  # bytes of each of the first answers
    etag: str = '"one"'
    status: int = 200
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def _archive_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _words() -> dict[str, bytes]:
    files: dict[str, bytes] = {
        "./testing_list.txt": b"on/a_nohash_0.wav\n",
        "./validation_list.txt": b"on/b_nohash_0.wav\n",
    }
    for i, name in enumerate(("on/a_nohash_0", "on/b_nohash_0", "on/c_nohash_0", "off/c_nohash_0")):
        wav = io.BytesIO()
        noise = np.random.default_rng(i).integers(-9000, 9000, 16000).astype(np.int16)
        soundfile.write(wav, noise, 16000, format="WAV")
        files[f"./{name}.wav"] = wav.getvalue()
    return files


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(_archive_of(_words()))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(dict(self.headers))
            if state.status != 200:
                self.send_error(state.status)
                return
            wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", state.etag) == state.etag
            if wanted and state.ranges is None:
                self.send_error(416)
                return
            first = int(wanted[1]) if wanted and state.ranges and same else 0
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(state.data) - 1}/{len(state.data)}")
            self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(state.data) - first))
            self.end_headers()
            most = state.cut_after.pop(0) if state.cut_after else len(state.data)
            self.wfile.write(state.data[first : first + most])

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}/words.tar.gz"
    # It looks so often whether it is to end, which each test waits for.
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE_S", 0.0)


def archive_of(server: Server) -> Archive:
    digest = hashlib.sha256(server.data).hexdigest()
    return Archive("words", server.url, len(server.data), digest, 1_000_000, "made here")


def left(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if not path.name.endswith(".lock")}


def test_fetched_verified_and_unpacked(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    place = download.download(archive_of(server), cache=tmp_path, received=lambda *a: seen.append(a))
    assert place == tmp_path / "words" and left(tmp_path) == {"words"}
    assert seen[-1] == (len(server.data), len(server.data))
    assert {c.name: c.split for c in folder.scan(place).clips}["on/b_nohash_0.wav"] == "validation"
    for name, data in _words().items():
        assert (place / name).read_bytes() == data
    download.download(archive_of(server), cache=tmp_path)
    assert len(server.requests) == 1  # it is there


def test_broken_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.cut_after = [10_000, 20_000, 1]
    download.download(archive_of(server), cache=tmp_path)
    assert [r.get("Range") for r in server.requests] == [None, "bytes=10000-", "bytes=30000-", "bytes=30001-"]
    assert server.requests[1]["If-Range"] == '"one"'
    assert left(tmp_path) == {"words"}


def test_a_download_goes_on_after_the_process_was_stopped(server: Server, tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.download(archive_of(server), cache=tmp_path, received=stop)
    kept = (tmp_path / "words.tar.gz.part").stat().st_size
    assert 0 < kept <= len(server.data) and not (tmp_path / "words").exists()
    (tmp_path / "words.tar.gz.part").write_bytes(server.data[:5000])
    download.download(archive_of(server), cache=tmp_path)
    assert server.requests[-1]["Range"] == "bytes=5000-"


@pytest.mark.parametrize("etag", [b"", b"\xff\xfe", b'"one"\n', b'"o\nne"'])
def test_a_damaged_etag_does_not_keep_a_download_from_going_on(
    server: Server, tmp_path: Path, etag: bytes
) -> None:
    (tmp_path / "words.tar.gz.part").write_bytes(server.data[:5000])
    (tmp_path / "words.tar.gz.part.etag").write_bytes(etag)
    download.download(archive_of(server), cache=tmp_path)
    assert [request["Range"] for request in server.requests] == ["bytes=5000-"]
    assert left(tmp_path) == {"words"}


@pytest.mark.parametrize("why", ["no ranges", "ranges refused", "another etag"])
def test_a_server_that_cannot_resume_starts_anew(server: Server, tmp_path: Path, why: str) -> None:
    server.cut_after = [10_000]
    (tmp_path / "words.tar.gz.part").write_bytes(b"x" * 7000)  # not the file's own bytes
    (tmp_path / "words.tar.gz.part.etag").write_text('"zero"' if why == "another etag" else '"one"')
    server.ranges = {"no ranges": False, "ranges refused": None}.get(why, True)
    download.download(archive_of(server), cache=tmp_path)
    assert left(tmp_path) == {"words"}


def test_a_server_that_refuses_ranges_and_breaks_is_given_up(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut_after = None, [10_000] * 100
    with pytest.raises(TokayError, match=r"cannot fetch .* does not resume"):
        download.download(archive_of(server), cache=tmp_path)
    assert len(server.requests) < 20


def test_other_bytes_are_refused_and_deleted(server: Server, tmp_path: Path) -> None:
    archive = replace(archive_of(server), sha256="0" * 64)
    with pytest.raises(TokayError, match="SHA-256"):
        download.download(archive, cache=tmp_path)
    assert left(tmp_path) == set()


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_size_is_refused_at_once(server: Server, tmp_path: Path, change: int) -> None:
    archive = replace(archive_of(server), bytes=len(server.data) + change)
    with pytest.raises(TokayError, match="another file"):
        download.download(archive, cache=tmp_path)
    assert not (tmp_path / "words").exists() and len(server.requests) == 1


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_s_refusal_is_one_line(
    server: Server, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server.status = status
    monkeypatch.setattr(download, "SPEECH_COMMANDS", archive_of(server))
    monkeypatch.setattr(download, "ARCHIVES", {"speech_commands": archive_of(server)})
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    assert cli.run(command.main, ["download"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(status) in error


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://no-such-host.invalid/x", "gopher:x", "nonsense"]
)
def test_a_network_that_is_not_there_is_one_line(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(TokayError) as caught:
        download.download(archive_of(server), url, tmp_path)
    assert url in str(caught.value) and "\n" not in str(caught.value)
    assert left(tmp_path) == set()


def test_a_connection_that_always_breaks_gives_up_and_keeps_what_came(server: Server, tmp_path: Path) -> None:
    server.cut_after = [30_000] + [0] * 50
    with pytest.raises(TokayError, match="closed early") as caught:
        download.download(archive_of(server), cache=tmp_path)
    assert "are kept" in caught.value.hint and len(server.requests) < 10
    assert (tmp_path / "words.tar.gz.part").stat().st_size == 30_000


@pytest.mark.parametrize(
    "name", ["../outside.wav", "/tmp/outside.wav", "on/../../outside.wav", "c:\\outside.wav"]
)
def test_an_archive_that_reaches_outside_is_refused(server: Server, tmp_path: Path, name: str) -> None:
    server.data = _archive_of({"on/a.wav": b"x", name: b"evil"})
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(TokayError, match="outside of its"):
        download.download(archive_of(server), cache=cache)
    assert left(cache) <= {"words.tar.gz.part", "words.tar.gz.part.etag"}
    assert not list(tmp_path.rglob("outside*"))


def test_links_in_an_archive_are_left_out(server: Server, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        link = tarfile.TarInfo("on")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
        info = tarfile.TarInfo("on/a.wav")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    server.data = stream.getvalue()
    place = download.download(archive_of(server), cache=tmp_path)
    assert not (place / "on").is_symlink() and (place / "on" / "a.wav").read_bytes() == b"x"


def test_what_is_no_archive_is_one_line(server: Server, tmp_path: Path) -> None:
    server.data = b"<html>a page of a hotel's network</html>" * 100
    with pytest.raises(TokayError, match="not an archive"):
        download.download(archive_of(server), cache=tmp_path)
    assert not (tmp_path / "words").exists() and not list(tmp_path.glob(".unpacking*"))


def test_too_little_space_is_said_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(TokayError, match=r"needs 1000000000\.0 GB"):
        download.download(replace(archive_of(server), unpacked_bytes=10**18), cache=tmp_path)
    assert not server.requests


@pytest.mark.parametrize("when", ["fetching", "unpacking"])
def test_a_full_disk_leaves_nothing_half_written(
    server: Server, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(TokayError, match="No space left"):
        if when == "unpacking":
            patch.setattr(download.shutil, "copyfileobj", full)
        download.download(archive_of(server), cache=tmp_path, received=full if when == "fetching" else None)
    assert left(tmp_path) <= {"words.tar.gz.part", "words.tar.gz.part.etag"}
    assert (download.download(archive_of(server), cache=tmp_path) / "on" / "a_nohash_0.wav").is_file()


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    with (
        download._alone(tmp_path / ".words.lock", "words"),
        pytest.raises(TokayError, match="another process"),
    ):
        download.download(archive_of(server), cache=tmp_path)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_command_without_a_dataset_offers_to_fetch_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    archive = replace(archive_of(server), name="speech_commands")
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(find, "SPEECH_COMMANDS", archive)
    with pytest.raises(TokayError, match="no dataset"):  # nobody sits there
        find.find(None)
    assert not server.requests
    monkeypatch.setattr("sys.stdin", _Terminal(answer + "\n"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(find, "progress", lambda what: contextlib.nullcontext(lambda *_: None))
    if answer == "y":
        assert find.find(None).words == ("off", "on")
    else:
        with pytest.raises(TokayError, match=r"host\.dataset download"):
            find.find(None)
    assert "Fetch Speech Commands" in capsys.readouterr().err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_check_prints_and_writes_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in _words().items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "data" / "on" / "d_nohash_0.wav").write_bytes(b"nothing")
    assert cli.run(command.main, ["check", str(tmp_path / "data")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^on +1 +1 +1$", printed, re.M) and re.search(r"^speakers +1 +1 +1$", printed, re.M)
    assert "left out: on/d_nohash_0.wav: not readable as audio" in printed
    (tmp_path / "data" / "on" / "a_nohash_1.wav").write_bytes(_words()["./on/c_nohash_0.wav"][:-4000])
    assert cli.run(command.main, ["check", str(tmp_path / "data"), "--json", str(tmp_path / "r.json")]) == 1
    assert "leak: a: on/a_nohash_0.wav in testing, on/a_nohash_1.wav in training" in capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["words"]["on"] == {"training": 1, "validation": 1, "testing": 1}
    assert any("truncated: 4000 bytes" in line for line in report["bad"])


@pytest.mark.parametrize("rate", ["0", "-8000", "1000000"])
def test_the_check_refuses_what_is_no_rate(
    tmp_path: Path, rate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(command.main, ["check", str(tmp_path), "--rate", rate]) == 2
    assert capsys.readouterr().err.startswith(f"error: --rate {rate} is not a sample rate")
