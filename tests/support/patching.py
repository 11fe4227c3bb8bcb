"""A rule is taken out of a scratch copy of the package, to see what turns red without it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Patch:
    file: str
    """Below the package."""
    right: str
    """Stands in it once."""
    wrong: str

    def apply(self, package: Path) -> None:
        """Raises ValueError when it does not fit (any more)."""
        path = package / self.file
        path.write_text(self.patched(path.read_text()))

    def patched(self, text: str) -> str:
        if text.count(self.right) != 1:
            raise ValueError(f"{self.file} holds this {text.count(self.right)} times: {self.right!r}")
        return text.replace(self.right, self.wrong)
