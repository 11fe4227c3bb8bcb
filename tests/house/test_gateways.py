"""A gateway is known in every place where it must be: what a new one forgets is named, place by place."""

import ast
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import gateway_simulator
from payments_service import gateways
from payments_service.domain.variables import variable, variables_of
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.pages import gateways as pages
from payments_service.pages import shop
from tests.support.environment import environment
from tests.support.fake_gateway import FakeGateway

ROOT = Path(__file__).parents[2]
FOLDER = Path(gateways.__file__).parent
COMMON = ("__init__.py", "base.py", "bounds.py", "http.py", "reading.py", "signatures.py", "transport.py")

TEXTS = (
    ("README.md", "**{label}**"),
    ("README.md", "/api/webhook/{name}`"),
    ("gateway_simulator/pyproject.toml", '"gateway_simulator.{name}"'),
    ("render.yaml", "- key: {upper}_"),
    ("docs/architecture.md", "{module}.py"),
    ("docs/deployment.md", "(gateways/{name}.md)"),
    ("docs/events.md", "`{name}`"),
    ("docs/front-end.md", '"{name}"'),
    ("docs/front-end.md", "| {label} |"),
    ("docs/simulator.md", "| {label}"),
    ("tests/fixtures/{name}/PROVENANCE.json", ""),
    ("tests/gateways/test_*_contract.py", "gateway_type = {type}\n"),
    ("tests/e2e/test_*.py", 'gateway: ClassVar[str] = "{name}"'),
    ("tests/e2e/test_worker.py", '"{name}"'),
    ("tests/browser/test_snippet.py", '"{name}"'),
    ("tests/simulator/shop.py", '"{name}"'),
    ("tests/conformance/running.py", '"{name}"'),
    ("tests/conformance/{name}.txt", ""),
    ("tests/conformance/suite_{name}*.py", ""),
)
"""File, and what must stand in it (in one of them, where the name is a pattern)."""


def forgotten(gateway: type[Gateway], root: Path = ROOT) -> list[str]:
    """Each place that does not know the gateway, as a sentence."""
    return [
        *_not_registered(gateway),
        *_without_variables(gateway, root),
        *_not_in_texts(gateway, root),
    ]


def _names(gateway: type[Gateway]) -> dict[str, str]:
    row = pages.ROWS.get(gateway.provider)
    return {
        "name": gateway.name,
        "upper": gateway.name.upper(),
        "label": row.label if row else gateway.name.capitalize(),
        "module": gateway.__module__.rpartition(".")[2],
        "type": gateway.__name__,
    }


def _not_registered(gateway: type[Gateway]) -> Iterator[str]:
    row = pages.ROWS.get(gateway.provider)
    if row is None:
        yield f"payments_service/pages/gateways.py: ROWS lacks {gateway.provider!r}"
    elif not (Path(pages.__file__).parent / "static" / row.opener).exists():
        yield f"payments_service/pages/static lacks {row.opener!r}"
    if gateway.name not in shop.METHODS:
        yield f"payments_service/pages/shop.py: METHODS lacks {gateway.name!r}"
    if gateway.name not in {kind.name for kind in gateway_simulator.GATEWAYS}:
        yield f"gateway_simulator/__init__.py: GATEWAYS lacks {gateway.name!r}"


def _without_variables(gateway: type[Gateway], root: Path) -> Iterator[str]:
    example = (root / ".env.example").read_text()
    for _, declared in variables_of(gateway.config_type):
        if f"\n{declared.name}=" not in example:
            yield f".env.example lacks {declared.name!r}"
    providers = [other for other in (*GATEWAYS, gateway) if other.name == gateway.name]
    declared_names = {declared.name for one in providers for _, declared in variables_of(one.config_type)}
    if declared_names.isdisjoint(environment(database_url="")):
        yield f"tests/support/environment.py does not switch {gateway.name!r} on"


def _not_in_texts(gateway: type[Gateway], root: Path) -> Iterator[str]:
    for file, mark in _texts(_names(gateway)):
        if not any(mark in path.read_text() for path in root.glob(file)):
            yield f"{file} lacks {mark!r}"


def _texts(names: dict[str, str]) -> list[tuple[str, str]]:
    return [(file.format(**names), mark.format(**names)) for file, mark in TEXTS]


def unregistered(folder: Path) -> set[str]:
    """Gateway classes in the folder's files that the registry does not have."""
    files = [path for path in folder.glob("*.py") if path.name not in COMMON]
    classes = {
        node.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "Gateway" in {ast.unparse(base) for base in node.bases}
    }
    return classes - {gateway.__name__ for gateway in GATEWAYS}


@dataclass(frozen=True)
class FourthConfig:
    key: str = variable("FOURTH_KEY", secret=True)


class FourthGateway(FakeGateway):
    """As if its file were there, and nothing else."""

    __module__ = "payments_service.gateways.fourth"
    name = provider = "fourth"
    config_type = FourthConfig


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.provider)
def test_every_place_knows_the_gateway(gateway: type[Gateway]) -> None:
    assert forgotten(gateway) == []


def test_every_gateway_of_the_folder_is_in_the_registry() -> None:
    assert unregistered(FOLDER) == set()


def test_a_file_that_the_registry_does_not_have_is_named(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "gateways", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "fourth.py").write_text("class FourthGateway(Gateway):\n    pass\n")
    assert unregistered(folder) == {"FourthGateway"}


def test_all_that_a_fourth_gateway_forgets_is_named() -> None:
    assert forgotten(FourthGateway) == [
        "payments_service/pages/gateways.py: ROWS lacks 'fourth'",
        "payments_service/pages/shop.py: METHODS lacks 'fourth'",
        "gateway_simulator/__init__.py: GATEWAYS lacks 'fourth'",
        ".env.example lacks 'FOURTH_KEY'",
        "tests/support/environment.py does not switch 'fourth' on",
        *(f"{file} lacks {mark!r}" for file, mark in _texts(_names(FourthGateway))),
    ]


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.provider)
def test_a_place_that_is_forgotten_is_named(gateway: type[Gateway], tmp_path: Path) -> None:
    for file, mark in _texts(_names(gateway)):
        copy_places(gateway, tmp_path)
        assert forgotten(gateway, tmp_path) == []
        for path in tmp_path.glob(file):
            if mark:
                path.write_text(path.read_text().replace(mark, ""))
            else:
                path.unlink()
        assert f"{file} lacks {mark!r}" in forgotten(gateway, tmp_path)


def copy_places(gateway: type[Gateway], root: Path) -> None:
    for pattern in {".env.example", *(file.format(name=gateway.name) for file, _ in TEXTS)}:
        for path in ROOT.glob(pattern):
            target = root / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def test_a_pay_page_or_simulator_that_is_forgotten_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for gateway in GATEWAYS:
        with monkeypatch.context() as without:
            rows = {provider: row for provider, row in pages.ROWS.items() if provider != gateway.provider}
            without.setattr(pages, "ROWS", rows)
            without.setattr(gateway_simulator, "GATEWAYS", ())
            named = forgotten(gateway)
        assert f"payments_service/pages/gateways.py: ROWS lacks {gateway.provider!r}" in named
        assert f"gateway_simulator/__init__.py: GATEWAYS lacks {gateway.name!r}" in named
