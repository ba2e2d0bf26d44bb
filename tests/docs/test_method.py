"""docs/method.md names files and functions that are there."""

from __future__ import annotations

import ast
import re

import pytest

from core.config import ROOT

TEXT = (ROOT / "docs" / "method.md").read_text()
PATH = r"(?:core|app|benchmarks|tests)/[\w/]+\.(?:py|js)"
# `core/x.py`, `name` and `other`
NAMED = re.findall(rf"`({PATH})`((?:(?:, | and )`[A-Za-z_]\w*`)*)", TEXT)


def names_of(path: str) -> set[str]:
    """What a module defines or imports at its top level."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_the_methods_are_mapped() -> None:
    assert len(NAMED) > 35
    for section in ("Data description", "Data preparation", "Analysis framework"):
        assert f"### {section}" in TEXT


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_files_and_names_are_there(path: str) -> None:
    assert (ROOT / path).is_file()
    if path.endswith(".py"):
        wanted = {name for one, names in NAMED if one == path for name in re.findall(r"`(\w+)`", names)}
        assert wanted <= names_of(path)
