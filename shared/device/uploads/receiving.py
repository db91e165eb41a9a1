"""Files of a form (multipart/form-data), received within limits.

They are written one after the other to one file without a name, on the disk of the device's
state: a kill leaves nothing, and a full disk is that disk. Of a file that is too large the rest
is read and thrown away, so that the others arrive. Few forms are looked into at a time.
"""

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from shared.device.settings import DeviceSettings
from shared.device.uploads.disk import check_room, full_disk_told
from shared.errors import FedbellError, UnreadablePicture
from shared.web.problems import BadRequest

#: Fields of a form that are no files, and bytes of one: at least what is read at a time.
_MOST_FIELDS, _MOST_FIELD_BYTES = 20, 256 * 1024
_READ_AT_ONCE = 64 * 1024
#: Checking a large picture takes seconds, and each call that waits for it holds one of few threads.
_CHECKED = threading.BoundedSemaphore(4)


class BusyChecking(FedbellError):
    """As many uploads are being checked as this device takes at a time."""

    status = 503
    title = "The device is busy"
    retry_after = 2


class UploadTooLarge(FedbellError):
    """More than is taken in one call."""

    status = 413
    title = "The upload is too large"


@dataclass(frozen=True)
class ReceivedFile:
    """One file of a form.

    Attributes:
        field: of the form.
        name: as the client called it.
    """

    field: str
    name: str
    _part: "_Part"
    _most_bytes: int

    def read(self) -> bytes:
        """The content.

        Raises:
            UnreadablePicture: it is larger than one file may be.
        """
        if self._part.size > self._most_bytes:
            raise UnreadablePicture(
                f"The file has {self._part.size / 2**20:,.1f} MiB; at most "
                f"{self._most_bytes / 2**20:g} MiB are taken (most_picture_bytes). Make it smaller."
            )
        return self._part.content()


@dataclass(frozen=True)
class Received:
    """A form: its fields, and its files in their order."""

    fields: Mapping[str, str]
    files: list[ReceivedFile]


@contextmanager
def received(call: Request, settings: DeviceSettings) -> Iterator[Received]:
    """The form of ``call``, its files readable in the block.

    Raises:
        UploadTooLarge: more bytes or files than one call may have.
        DiskFull: there is no room for it.
        BusyChecking: too many others are in the block.
        BadRequest: no form, or not all of it came.
    """
    directory, most = settings.state_directory, settings.most_upload_bytes
    too_large = UploadTooLarge(
        f"At most {most / 2**20:,.0f} MiB are taken in one call (most_upload_bytes). Send fewer "
        "pictures at a time."
    )
    call.max_content_length = most
    if (call.content_length or 0) > most:
        raise too_large
    if call.mimetype != "multipart/form-data":
        raise BadRequest(
            "Pictures come as a form (multipart/form-data), each in a field of its own. Try: "
            f"curl -F pictures=@cat.1.jpg {call.base_url}"
        )
    check_room(directory, call.content_length or 0, settings.least_free_bytes)
    with full_disk_told(directory), tempfile.TemporaryFile(dir=directory) as spool:
        try:
            form = _Form(spool, settings).read(call)
        except RequestEntityTooLarge as error:
            if call.content_length is None:
                raise too_large from error
            raise UploadTooLarge(
                "The form has more fields besides pictures, or a longer one, than this call has."
            ) from error
        except ClientDisconnected as error:
            raise BadRequest("The connection broke before all was here. Send it again.") from error
        except ValueError as error:
            raise BadRequest(f"The form cannot be read: {error}. Send it again.") from error
        if not _CHECKED.acquire(blocking=False):
            raise BusyChecking(
                "This device is checking other pictures. Nothing of this call was kept: send it "
                f"again in {BusyChecking.retry_after} seconds."
            )
        try:
            yield form
        finally:
            _CHECKED.release()


class _Form:
    """Reads a form; its files are written one after the other to one file."""

    def __init__(self, spool: IO[bytes], settings: DeviceSettings) -> None:
        self._spool = spool
        self._settings = settings
        self._fields: dict[str, str] = {}
        self._files: list[ReceivedFile] = []

    def read(self, call: Request) -> Received:
        """All of it."""
        boundary = call.mimetype_params.get("boundary", "").encode("ascii")
        if not boundary:
            raise ValueError("Missing boundary")
        decoder = _Decoder(
            boundary,
            _MOST_FIELD_BYTES,
            max_parts=self._settings.most_upload_pictures + _MOST_FIELDS,
        )
        name, part = "", _Part(self._spool, 0)
        is_file = has_ended = False
        while not has_ended:
            data = call.stream.read(_READ_AT_ONCE)
            has_ended = not data
            decoder.receive_data(data or None)
            while not isinstance(event := decoder.next_event(), (Epilogue, NeedData)):
                if isinstance(event, (Field, File)):
                    name, is_file = event.name or "", isinstance(event, File)
                    field = _Part(self._spool, _MOST_FIELD_BYTES)
                    part = self._file(event) if isinstance(event, File) else field
                elif isinstance(event, Data):
                    part.write(event.data)
                    if not is_file and part.size > _MOST_FIELD_BYTES:
                        raise RequestEntityTooLarge
                    if not is_file and not event.more_data:
                        self._fields.setdefault(name, part.content().decode(errors="replace"))
        named = [file for file in self._files if file.name]
        return Received(self._fields, named)

    def _file(self, file: File) -> "_Part":
        most = self._settings.most_upload_pictures
        if len(self._files) == most:
            raise UploadTooLarge(
                f"At most {most:,} pictures are taken in one call (most_upload_pictures). Send "
                "fewer at a time."
            )
        most_bytes = self._settings.most_picture_bytes
        part = _Part(self._spool, most_bytes)
        self._files.append(ReceivedFile(file.name or "", file.filename or "", part, most_bytes))
        return part


class _Decoder(MultipartDecoder):
    """Reads names that are no UTF-8, as old programs send them, with signs replaced."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(data.decode(errors="replace").encode())


class _Part:
    """One file in the spool; what is beyond the limit is counted and thrown away."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._file = file
        self._begin = file.tell()
        self._most_bytes = most_bytes
        self.size = 0

    def write(self, data: bytes) -> None:
        """The next bytes of the file."""
        self.size += len(data)
        if self.size <= self._most_bytes:
            self._file.write(data)
        else:
            self._file.seek(self._begin)
            self._file.truncate()

    def content(self) -> bytes:
        """All of it."""
        self._file.seek(self._begin)
        return self._file.read(self.size)
