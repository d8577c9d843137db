"""A directory of an object store (S3 and what speaks its protocol), as far as this store needs one.

    --store s3://bucket/prefix                                      AWS; region from AWS_REGION or the profile
    --store 's3://bucket/prefix?endpoint=https://host:port&region=R'   a store of your own

Objects appear whole or not at all, and are durable when the call returns. Credentials are those of the standard chain:
the shared credentials file (AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE), a web identity's token file, the container's or
the machine's role. They are read again before they expire, and never written anywhere. TLS is verified; it is only left
out for an endpoint that says http://.
"""

from __future__ import annotations

import configparser
import datetime
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlsplit

from kubewitness.errors import StateError, UsageError

if TYPE_CHECKING:
    from obstore.store import S3Store

#: Seconds after which the shared credentials file is read again.
_READ_AGAIN = 300
_NEEDS = "a store on s3:// needs more packages; install them with: pip install 'kubewitness[s3]'"


_T = TypeVar("_T")


class Found(NamedTuple):
    """An object: its name below the directory that was listed, size in bytes, last change in seconds since 1970."""

    name: str
    size: int
    modified: float


class Access(NamedTuple):
    """As whom objects are reached, where that is not what the standard chain says, and headers of each request."""

    #: gives what obstore calls an S3Credential; any thread may call it
    credentials: Callable[[], Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    #: a request that fails is tried again for up to three minutes before that is told, else once
    patient: bool = True


_STANDARD = Access()


class ObjectDir:
    """One prefix of a bucket. Cheap to make; any thread may use it. Methods raise StateError for what is wrong with
    the store, and FileNotFoundError for an object that is not there."""

    def __init__(self, uri: str, key: str | None = None, access: Access = _STANDARD) -> None:
        #: as the user wrote it, to open the same place in another process
        self.uri = uri
        self._place = _parsed(uri)
        self._access = access
        self.key = self._place.prefix if key is None else key

    def __truediv__(self, name: str) -> ObjectDir:
        return ObjectDir(self.uri, f"{self.key}/{name}" if self.key else name, self._access)

    def __str__(self) -> str:
        return f"s3://{self._place.bucket}/{self.key}"

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectDir:
        return ObjectDir(self.uri, self.key.rpartition("/")[0], self._access)

    @property
    def options(self) -> dict[str, str]:
        """For the library of the tables."""
        place = self._place
        found = {"AWS_FORCE_CREDENTIAL_LOAD": "true"}
        if place.region:
            found["AWS_REGION"] = place.region
        if place.endpoint:
            found["AWS_ENDPOINT_URL"] = place.endpoint
            found["AWS_ALLOW_HTTP"] = str(place.endpoint.startswith("http://")).lower()
        return found

    def read(self) -> bytes:
        """The object of this name."""
        return bytes(_calling(self, lambda store: store.get(self.key).bytes()))

    def read_range(self, start: int, length: int) -> bytes:
        """Part of the object; shorter where it ends before."""
        return bytes(_calling(self, lambda store: store.get_range(self.key, start=start, length=length)))

    def head(self) -> Found:
        meta = _calling(self, lambda store: store.head(self.key))
        return Found(self.name, meta["size"], meta["last_modified"].timestamp())

    def write(self, data: bytes | Path, attributes: dict[str, str] | None = None, part_bytes: int = 5_242_880) -> None:
        """Makes or replaces the object; a file is sent in parts of so many bytes. `attributes`: as `Content-Type`."""
        _calling(self, lambda store: store.put(self.key, data, attributes=attributes, chunk_size=part_bytes))

    def delete(self) -> None:
        """Removes the object, if it is there."""
        try:
            _calling(self, lambda store: store.delete(self.key))
        except FileNotFoundError:
            return

    def list(self) -> Iterator[Found]:
        """Every object below, to any depth."""
        start = len(self.key) + 1 if self.key else 0

        def pages(store: S3Store) -> list[Found]:
            return [
                Found(m["path"][start:], m["size"], m["last_modified"].timestamp())
                for page in store.list(self.key or None)
                for m in page
            ]

        yield from _calling(self, pages)


class _Place(NamedTuple):
    bucket: str
    prefix: str
    endpoint: str
    region: str


@functools.lru_cache(maxsize=16)
def _parsed(uri: str) -> _Place:
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc:
        raise UsageError(f"--store {parts.scheme}://...: write a directory, or s3://bucket/prefix")
    query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
    if unknown := set(query) - {"endpoint", "region"}:
        raise UsageError(f"--store: {sorted(unknown)[0]!r} is not known after the '?'; endpoint and region are")
    endpoint = query.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    region = query.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    region = region or _profile("config").get("region", "") or ("us-east-1" if endpoint else "")
    if region:
        os.environ.setdefault("AWS_REGION", region)  # else the library of the tables asks a cloud's metadata for it
    return _Place(parts.netloc, parts.path.strip("/"), endpoint, region)


@functools.lru_cache(maxsize=16)
def _store(place: _Place, access: Access) -> S3Store:
    try:
        from obstore.store import S3Store
    except ImportError as e:
        raise UsageError(_NEEDS) from e
    credentials = access.credentials or (_from_file if _profile("credentials") else None)
    more: dict[str, Any] = {"credential_provider": credentials} if credentials else {}
    client: dict[str, Any] = {"default_headers": dict(access.headers)} if access.headers else {}
    if place.endpoint:
        more["endpoint"] = place.endpoint
        client |= {"allow_http": place.endpoint.startswith("http://"), "timeout": "60s"}
    if client:
        more["client_options"] = client
    if place.region:
        more["region"] = place.region
    if not access.patient:
        more["retry_config"] = {"max_retries": 1}
    return S3Store(place.bucket, **more)


def _profile(which: str) -> dict[str, str]:
    """The chosen profile of ~/.aws/credentials or ~/.aws/config; {} where there is none."""
    variable = "AWS_SHARED_CREDENTIALS_FILE" if which == "credentials" else "AWS_CONFIG_FILE"
    path = Path(os.environ.get(variable) or Path.home() / ".aws" / which)
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text())
    except (OSError, ValueError, configparser.Error):
        return {}
    name = os.environ.get("AWS_PROFILE") or "default"
    section = name if which == "credentials" or name == "default" else f"profile {name}"
    return dict(parser[section]) if parser.has_section(section) else {}


def _from_file() -> Any:
    found = _profile("credentials")
    try:
        return {
            "access_key_id": found["aws_access_key_id"],
            "secret_access_key": found["aws_secret_access_key"],
            "token": found.get("aws_session_token"),
            "expires_at": datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=_READ_AGAIN),
        }
    except KeyError as e:
        raise StateError(f"the shared credentials file has no {e.args[0]} any more") from None


def _calling(directory: ObjectDir, call: Callable[[S3Store], _T]) -> _T:
    store = _store(directory._place, directory._access)
    from obstore.exceptions import BaseError, NotFoundError

    try:
        return call(store)
    except (FileNotFoundError, NotFoundError) as e:
        raise FileNotFoundError(str(directory)) from e
    except (BaseError, OSError) as e:
        raise StateError(f"{directory}: {' '.join(str(e).split('Debug source')[0].split())[:300]}") from e
