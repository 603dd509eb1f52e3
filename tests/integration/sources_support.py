"""Shared parts of the source tests: a small world on disk, a scripted HTTP server, cursors in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb

from revenue_assets.landing.run import land
from revenue_assets.landing.writer import LandingResult, LandingWriter
from revenue_assets.sources.base import Cursor, Source

Reply = tuple[int, dict[str, str], str]


class MemoryCursors:
    """Cursors by (source, object), as JSON text, so that only what a store can keep survives."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get(self, source: str, object_name: str) -> Cursor | None:
        text = self.kept.get((source, object_name))
        return None if text is None else json.loads(text)

    def set(self, source: str, object_name: str, cursor: Cursor) -> None:
        self.kept[(source, object_name)] = json.dumps(cursor)


class Lander:
    """Lands into a scratch home and reads it back."""

    def __init__(self, home: Path) -> None:
        self.home, self.cursors = home, MemoryCursors()

    def land(self, source: Source, objects: Iterable[str], now: Any) -> dict[str, LandingResult]:
        writer = LandingWriter(self.home / "landing", self.home / "quarantine", "test-run")
        return {result.object: result for result in land(source, objects, writer, self.cursors, now)}

    def latest(self, source: str, object_name: str) -> dict[str, dict[str, Any]]:
        """Record id -> latest landed record, parsed."""
        return {key: json.loads(raw) for key, raw in self.latest_raw(source, object_name).items()}

    def latest_raw(self, source: str, object_name: str) -> dict[str, str]:
        pattern = self.home / "landing" / source / object_name / "*" / "*.parquet"
        query = f"""
            select _record_id, arg_max(raw, _landing_seq)
            from read_parquet('{pattern}', hive_partitioning = false) group by _record_id
        """
        with duckdb.connect() as connection:
            return dict(connection.execute(query).fetchall())

    def quarantined(self, source: str, object_name: str) -> list[tuple[str, str]]:
        """(reason, raw) of everything in quarantine, oldest first."""
        pattern = self.home / "quarantine" / source / object_name / "*" / "*.parquet"
        if not list(self.home.glob(f"quarantine/{source}/{object_name}/*/*.parquet")):
            return []
        query = f"select reason, raw from read_parquet('{pattern}', hive_partitioning = false) order by _landing_seq"
        with duckdb.connect() as connection:
            return connection.execute(query).fetchall()

    def all_text(self) -> str:
        """Everything stored, as text, to look for what must not be there."""
        files = [p for p in self.home.rglob("*") if p.is_file()]
        return "\n".join(p.read_bytes().decode("latin-1") for p in files)


class ScriptedServer:
    """Answers each request with what `reply(method, path, query, headers)` returns; keeps what was asked."""

    def __init__(self, reply: Callable[[str, str, dict[str, list[str]], dict[str, str]], Reply]) -> None:
        self.asked: list[tuple[str, str, dict[str, list[str]], dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                query = parse_qs(parts.query or body, keep_blank_values=True)
                asked = (self.command, parts.path, query, dict(self.headers.items()))
                outer.asked.append(asked)
                status, headers, text = reply(*asked)
                payload = text.encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = _serve

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def write_world(folder: Path, objects: dict[str, list[dict[str, Any] | str]]) -> None:
    """One `<object>.jsonl` each; a text stands as it is, so that odd number spellings survive."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in objects.items():
        lines = [r if isinstance(r, str) else json.dumps(r, separators=(",", ":")) for r in records]
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
