"""Fetches Speech Commands: resumed where it stopped, verified whole, unpacked whole or not at all.

The archive's size and SHA-256 are those that TensorFlow Datasets records (its speech_commands
checksums.tsv) and torchaudio's SPEECHCOMMANDS checks for; whatever server it comes from, they decide.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from host.errors import TokayError
from host.lock import locked
from host.places import cache_folder

Progress = Callable[[int, int], None]

_BLOCK = 1 << 18
_TIMEOUT_S = 30
_TRIES = 5  # in a row without a byte
_PAUSE_S = 2.0
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]+"')


@dataclass(frozen=True)
class Archive:
    """A dataset as a .tar.gz: what must come out of the network."""

    name: str  # of the folder it becomes
    url: str
    bytes: int
    sha256: str
    unpacked_bytes: int  # about, on a disk with blocks of 4 KiB
    licence: str

    def folder(self, cache: Path | None = None) -> Path:
        """Where it is once it was fetched: in the cache folder, unless another is given."""
        return (cache or cache_folder()) / self.name


SPEECH_COMMANDS = Archive(
    "speech_commands",
    "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    2_428_923_189,
    "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    3_700_000_000,
    "CC BY 4.0",
)
ARCHIVES = {archive.name: archive for archive in (SPEECH_COMMANDS,)}


def download(
    archive: Archive = SPEECH_COMMANDS, url: str | None = None, cache: Path | None = None,
    received: Progress | None = None, unpacked: Progress | None = None,
) -> Path:  # fmt: skip
    """The dataset's folder in the cache, fetched if it is not there yet. TokayError says what stopped it;
    what has arrived stays, and the next call goes on from there."""
    place = archive.folder(cache)
    cache, part = place.parent, place.with_name(f"{archive.name}.tar.gz.part")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache / f".{archive.name}.lock", archive.name):
            if place.is_dir():
                return place
            _require_space(cache, archive, _size(part))
            _receive(url or archive.url, part, archive, received or _silent)
            _verify(part, archive)
            _unpack(part, place, archive, unpacked or _silent)
            part.unlink()
            _validator_file(part).unlink(missing_ok=True)
    except OSError as error:
        raise TokayError(f"cannot write {cache}: {error.strerror or error}", hint=_again(part)) from error
    return place


def _silent(done: int, of: int) -> None:
    pass


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _again(part: Path) -> str:
    kept = _size(part)
    return f"{kept / 1e6:.0f} MB are kept; the same command goes on from there" if kept else ""


@contextlib.contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    try:
        held = locked(path, wait=False)
    except BlockingIOError as error:
        raise TokayError(f"another process is fetching {name} already") from error
    with held:
        yield


def _require_space(cache: Path, archive: Archive, have: int) -> None:
    needed = max(archive.bytes - have, 0) + archive.unpacked_bytes
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise TokayError(
            f"{cache}: {archive.name} needs {needed / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are free",
            hint="XDG_CACHE_HOME names another place",
        )


def _receive(url: str, part: Path, archive: Archive, progress: Progress) -> None:
    """Fills ``part``, from where it stopped; goes on by itself after a broken connection."""
    tries = best = 0
    if _size(part) > archive.bytes:
        part.unlink()
    while _size(part) < archive.bytes:
        before = _size(part)
        try:
            _transfer(url, part, archive, progress)
            reason = "the connection was closed early"
        except urllib.error.HTTPError as error:
            if not (error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before):
                raise TokayError(f"{url}: {error.code} {error.reason}", hint=_again(part)) from error
            part.unlink()  # what the server does not go on from is worth nothing
            reason = "the server does not resume, and the connection was closed early"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error) or type(error).__name__)
        except ValueError as error:
            raise TokayError(f"{url}: {error}") from error
        if _size(part) >= archive.bytes:
            return
        tries = 0 if _size(part) > max(before, best) else tries + 1
        best = max(best, before, _size(part))
        if tries >= _TRIES or not best:
            raise TokayError(f"cannot fetch {url}: {reason}", hint=_again(part))
        time.sleep(_PAUSE_S * tries)


def _transfer(url: str, part: Path, archive: Archive, progress: Progress) -> None:
    """One request. A server that cannot resume, or has another file by now, sends it from the start."""
    have, validator = _size(part), _validator_file(part)
    request = urllib.request.Request(url, headers={"User-Agent": "tokay", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if etag := _stored_etag(validator):
            request.add_header("If-Range", etag)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        resumed = answer.status == 206
        if resumed:
            _require_range(answer.headers.get("Content-Range", ""), have, archive, url)
        elif (length := answer.headers.get("Content-Length")) and int(length) != archive.bytes:
            raise TokayError(f"{url}: {length} bytes, {archive.name} has {archive.bytes}: another file")
        etag = answer.headers.get("ETag") or ""
        validator.write_text(etag) if _STRONG_ETAG.fullmatch(etag) else validator.unlink(missing_ok=True)
        done = have if resumed else 0
        with open(part, "ab" if resumed else "wb") as stream:
            while block := _read(answer, min(_BLOCK, archive.bytes + 1 - done)):
                stream.write(block)
                done += len(block)
                progress(done, archive.bytes)
                if done > archive.bytes:
                    break
    if done > archive.bytes:
        part.unlink()
        raise TokayError(f"{url}: more than the {archive.bytes} bytes of {archive.name}: another file")


def _read(answer: http.client.HTTPResponse, most: int) -> bytes:
    """The next block. What fails here is the network, and not the disk."""
    try:
        return answer.read(most)
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


def _require_range(content_range: str, have: int, archive: Archive, url: str) -> None:
    """``bytes FIRST-LAST/TOTAL`` must go on where we are, in a file as long as ours."""
    span, _, total = content_range.removeprefix("bytes ").partition("/")
    if span.split("-")[0] != str(have) or total not in ("*", str(archive.bytes)):
        raise TokayError(f"{url}: the server sends {content_range!r}, not the rest of {archive.name}")


def _validator_file(part: Path) -> Path:
    """Keeps the server's strong ETag, by which it knows whether its file is still the same."""
    return part.with_name(part.name + ".etag")


def _stored_etag(validator: Path) -> str | None:
    """None where there is none or its file is damaged: the checksum says in the end whether it was needed."""
    if not validator.is_file():
        return None
    text = validator.read_text(encoding="latin-1")
    return text if _STRONG_ETAG.fullmatch(text) else None


def _verify(part: Path, archive: Archive) -> None:
    digest = hashlib.sha256()
    with open(part, "rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() != archive.sha256:
        part.unlink()
        _validator_file(part).unlink(missing_ok=True)
        raise TokayError(
            f"{archive.name}: SHA-256 {digest.hexdigest()[:16]}…, not {archive.sha256[:16]}…; deleted",
            hint="the server has another file, or it broke on the way: fetch it again",
        )


def _unpack(part: Path, place: Path, archive: Archive, progress: Progress) -> None:
    """Into a folder beside ``place`` that is renamed at the end."""
    prefix = f".unpacking-{place.name}-"
    for leftover in place.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(dir=place.parent, prefix=prefix))
    try:
        with open(part, "rb") as stream, tarfile.open(fileobj=stream, mode="r:gz") as tar:
            for member in tar:
                _extract(tar, member, work)
                progress(stream.tell(), archive.bytes)
        os.chmod(work, 0o755)
        os.replace(work, place)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise TokayError(f"{part}: not an archive: {error}", hint="delete it and fetch it again") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, work: Path) -> None:
    """A plain file, within ``work``; folders come with their files, and links are nobody's clips."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name:
        raise TokayError(f"the archive has {member.name!r}, outside of its folder", hint="it is not used")
    source = tar.extractfile(member) if member.isreg() else None
    if source is None:
        return
    target = work / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, open(target, "xb") as stream:
        shutil.copyfileobj(source, stream)
