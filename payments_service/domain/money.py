"""Money: whole minor units (paise) and a currency, and the one place where rupees become paise."""

import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation

INR = "INR"
MINOR_DIGITS = {INR: 2, "JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3, "OMR": 3}
"""Of ISO 4217, where it is not two. Only INR is ever asked for; others are read to be told apart from it."""
EXACT = Context(prec=28, traps=[InvalidOperation, Inexact])
"""Raises where a number has more digits than it keeps, instead of rounding the last ones away."""
LARGEST_EXPONENT = 4300
"""As many digits as Python reads of a whole number; JavaScript's end at 10^308."""


@dataclass(frozen=True)
class Money:
    """An amount in whole minor units, ``Money(10015, "INR")`` is ₹100.15.

    Raises TypeError for anything but an int (a bool or a float never is money) and
    ValueError when two currencies meet.
    """

    minor: int
    currency: str = INR

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"minor units must be an int, not {type(self.minor).__name__}")

    @classmethod
    def from_major(cls, major: Decimal | int | str, currency: str = INR) -> "Money":
        """Rupees as a Decimal, an int or their text; ValueError unless exact to the paisa."""
        if isinstance(major, bool) or not isinstance(major, Decimal | int | str):
            raise TypeError(f"major units must be Decimal, int or str, not {type(major).__name__}")
        try:
            value = Decimal(major)
            # Bounded first: quantizing 1e999999 would ask for a number of that many digits.
            if not value.is_finite() or value.adjusted() > 15:
                raise ValueError("not an amount of money")
            cents = value.scaleb(MINOR_DIGITS.get(currency, 2), EXACT)
            if cents != cents.to_integral_value():
                raise ValueError("more decimals than the currency has")
        except Inexact as error:
            raise ValueError("more decimals than the currency has") from error
        except InvalidOperation as error:
            raise ValueError("not a number") from error
        return cls(int(cents), currency)

    @property
    def major(self) -> Decimal:
        """Rupees, always with the currency's decimals: Decimal("100.00")."""
        digits = MINOR_DIGITS.get(self.currency, 2)
        return Decimal(self.minor).scaleb(-digits).quantize(Decimal(1).scaleb(-digits))

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def __str__(self) -> str:
        """As it is written in India: ₹1,24,999 or ₹10.50."""
        whole, _, decimals = str(self.major).partition(".")
        sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
        grouped = re.sub(r"(?<=[0-9])(?=([0-9]{2})*[0-9]{3}$)", ",", whole)
        mark = "₹" if self.currency == INR else f"{self.currency} "
        return f"{sign}{mark}{grouped}" + (f".{decimals}" if int(decimals) else "")

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other.minor


def exact_number(text: str) -> Decimal:
    """A number of JSON, as it stands; infinite where its exponent is beyond all measure.

    `1e1000000` is nine characters, and a gigabyte once it is written out; arithmetic with it overflows.
    """
    number = Decimal(text)
    is_sane = abs(number.adjusted()) <= LARGEST_EXPONENT
    return number if is_sane else Decimal("Infinity").copy_sign(number)


def json_number(money: Money) -> int | float:
    """Rupees as a JSON number, the last step before text: an int when whole, else ``100.15``.

    The only float in the service: made from the two-decimal text, so that it prints the same.
    """
    major = money.major
    return int(major) if major == int(major) else float(str(major))
