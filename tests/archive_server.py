"""A web server on loopback with the ways of real ones: ranges or none, tags that change, connections that break off."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ArchiveServer:
    """What is served, how, and what was asked for."""

    content: bytes = b""
    etag: str = '"v1"'
    modified: str = "Mon, 01 Jan 2024 00:00:00 GMT"
    ranges: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)
    """Bytes of the body after which the next connections break off."""
    statuses: list[int] = field(default_factory=list)
    """What the next requests are answered with instead."""
    wrong_range: bool = False
    asked: list[str] = field(default_factory=list)
    """``Range`` of every request, "" where it had none."""
    address: str = ""

    @property
    def url(self) -> str:
        return f"{self.address}/data.zip"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        if self.statuses:
            request.send_error(self.statuses.pop(0))
            return
        start = 0
        same = request.headers.get("If-Range") in (self.etag, self.modified)
        if self.ranges and wanted and same:
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert match is not None
            start = int(match[1])
            if start >= len(self.content):
                request.send_error(416)
                return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if self.etag:
            request.send_header("ETag", self.etag)
        if self.modified:
            request.send_header("Last-Modified", self.modified)
        if self.says_length:
            request.send_header("Content-Length", str(len(body)))
        if start:
            first = start + self.wrong_range
            request.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        request.end_headers()
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)
        request.close_connection = True


@contextmanager
def archive_server() -> Iterator[ArchiveServer]:
    """Serve on a free port of 127.0.0.1 while the block runs."""
    served = ArchiveServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, format: str, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
