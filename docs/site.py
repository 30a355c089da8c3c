"""Hooks of MkDocs (mkdocs.yml): the README is the first page, the tables of benchmarks/ are pages
too, and links to other files of the repository become links to them where `repo_url` is set.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((\.\./)*([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add pages that lie outside of docs/."""
    _add(files, config, "index.md", ROOT / "README.md")
    for path in sorted((ROOT / "benchmarks").glob("*.md")):
        _add(files, config, f"benchmarks/{path.name}", path)
    return files


def _add(files: Files, config: Any, name: str, path: Path) -> None:
    files.append(File.generated(config, name, content=path.read_text(encoding="utf-8")))


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Resolve links as on the repository's pages, where paths are relative to the file."""
    folder = _folder(page.file.src_uri)

    def resolved(match: re.Match[str]) -> str:
        image, text, _, _, anchor = match.groups()
        target = match.group(0).partition("](")[2].rstrip(")").partition("#")[0]
        path = (ROOT / folder / target).resolve()
        if not path.exists() or ROOT not in path.parents:
            return match.group(0)
        name = _page_name(path.relative_to(ROOT))
        if name is not None:
            depth = page.file.src_uri.count("/")
            return f"{image}[{text}]({'../' * depth}{name}{anchor or ''})"
        if config.repo_url:
            kind = "tree" if path.is_dir() else "blob"
            return f"[{text}]({config.repo_url}/{kind}/main/{path.relative_to(ROOT)})"
        return text

    return _LINK.sub(resolved, markdown)


def _folder(page: str) -> Path:
    """Where in the repository a page's file lies."""
    if page == "index.md":
        return Path()
    return (
        Path("benchmarks") if page.startswith("benchmarks/") else Path("docs") / Path(page).parent
    )


def _page_name(path: Path) -> str | None:
    """A file of the repository as a page or a picture of the site."""
    if path == Path("README.md"):
        return "index.md"
    if path.parts[0] == "docs" and path.suffix in (".md", ".svg", ".png"):
        return path.relative_to("docs").as_posix()
    return path.as_posix() if path.parts[0] == "benchmarks" and path.suffix == ".md" else None
