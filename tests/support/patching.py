"""A rule is taken out of a scratch copy of the package, to see what turns red without it."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Patch:
    file: str
    """Below the package."""
    right: str
    """Stands once in the function, or in the file where none is named."""
    wrong: str
    function: str = ""
    """`name`, or `Class.name`: nothing outside it is read or changed."""

    def patched(self, text: str) -> str:
        """Raises ValueError when it does not fit (any more)."""
        start, end = self._span(text) if self.function else (0, len(text))
        held = text[start:end]
        if held.count(self.right) != 1:
            raise ValueError(f"{self._place} holds this {held.count(self.right)} times: {self.right!r}")
        return text[:start] + held.replace(self.right, self.wrong) + text[end:]

    def _span(self, text: str) -> tuple[int, int]:
        found = [node for name, node in _functions(ast.parse(text)) if name == self.function]
        if len(found) != 1 or found[0].end_lineno is None:
            raise ValueError(f"{self._place} is there {len(found)} times")
        starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
        first = min(node.lineno for node in (found[0], *found[0].decorator_list))
        return starts[first - 1], starts[found[0].end_lineno]

    @property
    def _place(self) -> str:
        return f"{self.file} {self.function}".rstrip()


def apply(package: Path, patches: Iterable[Patch]) -> None:
    for path, text in patched(package, patches).items():
        path.write_text(text)


def patched(package: Path, patches: Iterable[Patch]) -> dict[Path, str]:
    """The files that change, as they are without the rule. Raises SyntaxError for what is not Python."""
    texts: dict[Path, str] = {}
    for patch in patches:
        path = package / patch.file
        texts[path] = patch.patched(texts.get(path) or path.read_text())
    for path, text in texts.items():
        compile(text, path, "exec")
    return texts


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
