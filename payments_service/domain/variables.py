"""How a setting is declared: its name, its default, how its text is read, whether it is secret."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

SHORTEST_SECRET = 16
"""Characters. A shorter secret can be guessed."""


@dataclass(frozen=True)
class Variable:
    """One environment variable, a field of a frozen dataclass: a gateway's `Config` or a group of ours.

    Without `default` a gateway's is needed once the gateway is on. A gateway is on
    when a `credential` of it is set; everything else only says how it works then. `live_when` is on the one
    that tells the mode: how its value begins where money is real.
    """

    name: str
    default: str | None = None
    """Read like what is set."""
    unset: Any = None
    """What it is when it is not set and has no default."""
    choices: tuple[str, ...] = ()
    is_list: bool = False
    is_url: bool = False
    read: Callable[[str], Any] = str
    """Makes the value of the text; raises ValueError with what is wrong, which follows the name."""
    credential: bool = False
    live_when: str | None = None
    least_characters: int = 0


def variable(
    name: str,
    *,
    secret: bool = False,
    is_hidden: bool = False,
    least_characters: int = SHORTEST_SECRET,
    **more: Any,
) -> Any:
    """A field of a frozen dataclass of settings, the rest as in `Variable`.

    A secret never shows in a repr, and a short one (each of a list) stops the start. What `is_hidden`, an
    address that may hold a password, never shows either.
    """
    declared = Variable(name, least_characters=least_characters if secret else 0, **more)
    return dataclasses.field(repr=not (secret or is_hidden), metadata={"variable": declared})


def variables_of(config: type) -> Iterator[tuple[str, Variable]]:
    """Field name and declaration of each variable of such a dataclass."""
    for field in dataclasses.fields(config):
        if "variable" in field.metadata:
            yield field.name, cast(Variable, field.metadata["variable"])


class WrongVariables(ValueError):
    """A `Config` whose variables do not fit together: for each variable to look at, a sentence.

    A `Config` is also made when a variable is missing (empty then), so that all that is wrong is told.
    """

    def __init__(self, sentences: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {sentence}" for name, sentence in sentences.items()))
        self.sentences = sentences
