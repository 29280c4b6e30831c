"""HTTP to an OpenAI-compatible endpoint: one JSON request, one JSON or streamed answer.

Every failure is a BackendError that names the address and the reason; keys never appear in it.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from .errors import BackendError

ANSWER_BYTES_MAX = 256 * 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: following it would take the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


class Endpoint:
    """A base address such as ``http://127.0.0.1:8080/v1`` and the variable that holds its key."""

    def __init__(self, base_url: str, key_env: str = "OPENAI_API_KEY", timeout_s: float = 60.0):
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise BackendError(f"not an http(s) address: {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self.key_env = key_env
        self.timeout_s = timeout_s

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON object, return the JSON object that answers it."""
        with self._open(path, body) as response:
            data = self._guard(path, lambda: response.read(ANSWER_BYTES_MAX + 1))
        if len(data) > ANSWER_BYTES_MAX:
            raise BackendError(f"{self.base_url}{path}: answer over {ANSWER_BYTES_MAX} bytes")
        return self._object(path, data)

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Send a JSON object, yield the JSON objects of the server-sent events that answer it."""
        with self._open(path, {**body, "stream": True}) as response:
            while True:
                line = self._guard(path, lambda: response.readline(LINE_BYTES_MAX))
                if not line:
                    return
                if not line.startswith(b"data:"):
                    continue  # a comment, another field or the empty line between events
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield self._object(path, data)

    def _open(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := os.environ.get(self.key_env, ""):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            self.base_url + path, json.dumps(body).encode(), headers, method="POST"
        )
        return self._guard(path, lambda: _OPENER.open(request, timeout=self.timeout_s))

    def _guard(self, path: str, call: Any) -> Any:
        where = self.base_url + path
        try:
            return call()
        except urllib.error.HTTPError as error:
            with error:
                words = error.read(2000).decode("utf-8", "replace").strip()
            raise BackendError(f"{where}: HTTP {error.code}: {_message(words)}") from None
        except urllib.error.URLError as error:
            raise BackendError(f"{where}: {error.reason}") from None
        except TimeoutError:
            raise BackendError(f"{where}: no answer within {self.timeout_s:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BackendError(f"{where}: {type(error).__name__}: {error}") from None

    def _object(self, path: str, data: bytes) -> dict[str, Any]:
        try:
            found = json.loads(data)
        except ValueError:
            raise BackendError(f"{self.base_url}{path}: the answer is not JSON") from None
        if not isinstance(found, dict):
            raise BackendError(f"{self.base_url}{path}: the answer is not a JSON object")
        if "error" in found:
            raise BackendError(f"{self.base_url}{path}: {_message(json.dumps(found))}")
        return found


def _message(words: str) -> str:
    """The human part of an error body, on one line."""
    try:
        error = json.loads(words)["error"]
        words = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        pass
    return " ".join(words.split())[:300] or "no reason given"
