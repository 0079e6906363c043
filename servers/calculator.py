# /// script
# requires-python = ">=3.10"
# dependencies = ["mcp>=2,<3", "pint>=0.24,<1"]
# ///
"""Arithmetic, percentages, bill splitting, unit conversion and loan payments.

An expression is parsed by `ast` and walked node by node: no `eval`, no attribute,
no name beyond the tables below. Length, depth and the size of every number are
bounded, and so the time is, too.
"""

import ast
import math
import operator
import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

MAX_LENGTH = 500
MAX_DEPTH = 250  # a sum of as many terms; deeper nesting is no human's
MAX_BITS = 4096  # of a whole number: about 1,230 digits

TOO_LARGE = "the number is too large (at most 1,230 digits for whole numbers, 1.8e308 for others)"


async def plain_errors(context: Any, call_next: Any) -> Any:
    """Drops what the SDK wraps around an error's text; the caller knows which tool it called."""
    result = await call_next(context)
    if context.method == "tools/call" and isinstance(result, dict) and result.get("isError"):
        for block in result.get("content", []):
            if isinstance(text := block.get("text"), str):
                text = re.sub(r"^Error executing tool [\w.-]+: ", "", text)
                text = re.sub(r"^\d+ validation errors? for \w+", "invalid arguments:", text)
                block["text"] = re.sub(r" \[type=\w+, input.*\]\n\s+For further information visit \S+", "", text)
    return result


mcp = MCPServer(
    "calculator",
    instructions="Arithmetic, percentages, splitting bills, unit conversion, loan payments.",
    log_level="WARNING",
    middleware=[plain_errors],
)


# --- expressions -------------------------------------------------------------


def factorial(n: Any) -> int:
    if n != int(n) or not 0 <= n <= 400:
        raise ToolError("factorial needs a whole number from 0 to 400")
    return math.factorial(int(n))


FUNCTIONS: dict[str, tuple[Any, int, int]] = {
    # name: (function, least and most arguments)
    "sqrt": (math.sqrt, 1, 1),
    "sin": (math.sin, 1, 1),
    "cos": (math.cos, 1, 1),
    "tan": (math.tan, 1, 1),
    "asin": (math.asin, 1, 1),
    "acos": (math.acos, 1, 1),
    "atan": (math.atan, 1, 1),
    "exp": (math.exp, 1, 1),
    "ln": (math.log, 1, 1),
    "log": (math.log, 1, 2),
    "log10": (math.log10, 1, 1),
    "log2": (math.log2, 1, 1),
    "radians": (math.radians, 1, 1),
    "degrees": (math.degrees, 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "abs": (abs, 1, 1),
    "round": (round, 1, 2),
    "min": (min, 1, 50),
    "max": (max, 1, 50),
    "factorial": (factorial, 1, 1),
}

CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}

PHRASES = [
    (r"^\s*(?:please\s+)?(?:calculate|compute|evaluate|work out|what\s+is|what's|how much is)\s+", ""),
    (r"[?=\s]+$", ""),
    (r"(?<=\d)\s*[x×·]\s*(?=[\d.(])", "*"),
    (r"[×·]", "*"),
    (r"÷", "/"),
    (r"[−–]", "-"),
    (r"\^", "**"),
    (r"[$€£₹¥]\s*(?=[\d.])", ""),
    (r"√\s*", "sqrt "),
    (r"\bsquare root of\b", "sqrt"),
    (r"\bpercent\b|\bper cent\b", "%"),
    (r"\b(?:divided by|over)\b", "/"),
    (r"\b(?:multiplied by|times)\b", "*"),
    (r"\bplus\b", "+"),
    (r"\bminus\b", "-"),
    (r"\b(?:to the power of|to the power)\b", "**"),
    (r"\bsquared\b", "**2"),
    (r"\bcubed\b", "**3"),
    (r"\b(?:modulo|mod)\b", " mod "),
]

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(?P<name>[a-z]+\d*)|(?P<op>\*\*|//|[-+*/%(),]))"
)


def to_python(text: str) -> str:
    """Rewrites what a person types into an expression that `ast` can parse.

    `X%` becomes `X .pct`: an attribute binds tighter than every operator, as the
    percent sign does. No other attribute can appear, for a name never follows a dot.
    """
    text = text.lower()
    if re.search(r"\b0[xbo]\w", text):
        raise ToolError("numbers are decimal here, without 0x, 0b or 0o")
    for pattern, replacement in PHRASES:
        text = re.sub(pattern, replacement, text)
    # Commas between digits are thousands, unless they may separate arguments.
    if not re.search(r"[a-z]\d*\s*\(", text):
        text = re.sub(r"\b\d{1,3}(?:,\d{2,3})*,\d{3}\b", lambda m: m[0].replace(",", ""), text)

    tokens: list[tuple[str, str, int, int]] = []  # kind, text, start, end
    at = 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        if not match:
            raise ToolError(f"cannot read {text[at:].strip()[:20]!r} in the expression")
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind], match.start(kind), match.end()))
        at = match.end()

    out: list[str] = []
    wrap_next = False
    for i, (kind, token, start, end) in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        if kind == "number":
            token = str(int(token)) if token.isdigit() else token
            out.append(f"({token})" if wrap_next else token)
        elif token == "%":
            out.append(" .pct" if is_percent(text, start, end, after, tokens, i + 2) else "%")
        elif token == "mod":
            out.append("%")
        elif token == "of":
            if not out or out[-1] != " .pct":
                raise ToolError("'of' is understood after a percentage only, as in 15% of 80")
            out.append("*")
        else:
            out.append(token)
        # `sqrt 16` is `sqrt(16)`.
        wrap_next = token in FUNCTIONS and after is not None and after[0] == "number"
    return " ".join(out)


def is_percent(text: str, start: int, end: int, after: Any, tokens: list[Any], beyond: int) -> bool:
    """Whether a `%` means "per hundred" and not "remainder"."""
    if after is None:
        return True
    kind, token, after_start, _ = after
    if kind == "number" or token == "(":
        return False
    if kind == "name":
        return token in ("of", "mod")
    if token in "+-":
        # `7 % -3` is a remainder, `10% - 5` and `10%-5` are not.
        looks_unary = beyond < len(tokens) and tokens[beyond][2] == after_start + 1
        return not (looks_unary and text[start - 1 : start].isspace() and after_start > end)
    return True


def whole(value: Any) -> Any:
    """Keeps every number within the limits."""
    if isinstance(value, complex):
        raise ToolError("the result is not a real number")
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise ToolError(TOO_LARGE)
    elif not math.isfinite(value):
        raise ToolError(TOO_LARGE)
    return value


def power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0 and abs(base) > 1:
        if base.bit_length() * exponent > MAX_BITS + exponent:
            raise ToolError(TOO_LARGE)
    return base**exponent


def divide(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: divide,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: power,
}


def walk(node: ast.AST, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise ToolError(f"the expression is nested too deeply (at most {MAX_DEPTH} levels)")
    down = depth + 1
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return whole(node.value)
    if isinstance(node, ast.Attribute) and node.attr == "pct":
        return whole(divide(walk(node.value, down), 100))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        value = walk(node.operand, down)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = walk(node.left, down), walk(node.right, down)
        if isinstance(node.op, (ast.Add, ast.Sub)) and is_pct(node.right) and not is_pct(node.left):
            right = whole(left * right)  # 200 + 10% is 220, as on a pocket calculator
        return whole(OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.Name):
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        raise ToolError(f"unknown name {node.id!r}; known are {', '.join([*CONSTANTS, *FUNCTIONS])}")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        name = node.func.id
        if name not in FUNCTIONS:
            raise ToolError(f"unknown function {name!r}; known are {', '.join(FUNCTIONS)}")
        function, least, most = FUNCTIONS[name]
        if not least <= len(node.args) <= most:
            raise ToolError(f"{name} takes {least if least == most else f'{least} to {most}'} argument(s)")
        arguments = [walk(argument, down) for argument in node.args]
        if name == "round" and len(arguments) == 2:
            if arguments[1] != int(arguments[1]) or abs(arguments[1]) > 400:
                raise ToolError("round takes its number of digits as a whole number up to 400")
            arguments[1] = int(arguments[1])
        try:
            return whole(function(*arguments))
        except ValueError:
            raise ToolError(f"{name} is not defined for {', '.join(map(show, arguments))}") from None
    raise ToolError("only numbers, + - * / // % ** ( ) and the known functions are allowed")


def is_pct(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute)


def evaluate(expression: str) -> Any:
    """Evaluates one expression; every fault is a `ToolError` that says what is wrong."""
    if not expression.strip():
        raise ToolError("the expression is empty")
    if len(expression) > MAX_LENGTH:
        raise ToolError(f"the expression is too long (at most {MAX_LENGTH} characters)")
    source = to_python(expression)
    if not source.strip():
        raise ToolError("there is nothing to calculate in the expression")
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError(f"{expression.strip()!r} is not a complete expression") from None
    try:
        return walk(tree.body)
    except ZeroDivisionError:
        raise ToolError("division by zero") from None
    except OverflowError:
        raise ToolError(TOO_LARGE) from None


def show(value: Any) -> str:
    """Writes whole numbers whole and others with at most 8 decimals."""
    if isinstance(value, int):
        return str(value)
    if value == 0:
        return "0"
    if abs(value) >= 2**53:
        return f"{value:.15g}"
    if abs(value) < 1e-4:
        return f"{value:.8g}"
    return f"{value:.8f}".rstrip("0").rstrip(".")


@mcp.tool(
    title="Calculate",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def calculate(
    expression: Annotated[
        str,
        Field(
            description="Arithmetic expression: numbers with + - * / // % ** and parentheses, X% of Y, "
            "sqrt, sin, cos, tan, log, ln, exp, abs, round, min, max, factorial, pi, e",
            min_length=1,
            max_length=500,
        ),
    ],
) -> str:
    """Calculate an arithmetic expression: add, subtract, multiply, divide, powers, square roots, X% of Y."""
    return f"{expression.strip()} = {show(evaluate(expression))}"


# --- money -------------------------------------------------------------------


def finite(name: str, value: float) -> float:
    if not math.isfinite(value) or abs(value) > 1e15:
        raise ToolError(f"{name} must be a number of at most 1e15")
    return value


@mcp.tool(
    title="Percentage",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def percentage(
    value: Annotated[float, Field(description="The number of which a percentage is taken")],
    percent: Annotated[float, Field(description="How many percent (%) of it")],
) -> str:
    """Percentage of a number: how much is so many percent of a value."""
    finite("value", value)
    finite("percent", percent)
    return f"{show(percent)}% of {show(value)} = {show(value * percent / 100)}"


CENT = Decimal("0.01")


@mcp.tool(
    title="Split a bill",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def split_bill(
    total: Annotated[float, Field(description="Amount of the bill before the tip, in money", ge=0)],
    people: Annotated[int, Field(description="Number of people (persons, friends) sharing the bill", ge=1, le=10000)],
    tip_percent: Annotated[float, Field(description="Tip in percent (%) of the bill", ge=0, le=1000)] = 0,
) -> str:
    """Split a restaurant bill evenly between people, with an optional tip: what each person pays."""
    finite("total", total)
    bill = Decimal(str(total)).quantize(CENT, ROUND_HALF_UP)
    tip = (bill * Decimal(str(tip_percent)) / 100).quantize(CENT, ROUND_HALF_UP)
    whole_sum = bill + tip
    each = (whole_sum / people).quantize(CENT, ROUND_DOWN)
    more = int((whole_sum - each * people) / CENT)
    share = f"{each}" if not more else f"{each} ({more} of {people} pay {each + CENT})"
    return f"bill {bill} | tip {show(tip_percent)}% {tip} | total {whole_sum} | per person {share}"


@mcp.tool(
    title="Loan instalment (EMI)",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def loan_emi(
    principal: Annotated[float, Field(description="Amount of the loan that is borrowed, in money", gt=0)],
    annual_rate: Annotated[float, Field(description="Yearly interest rate in percent (%)", ge=0, le=1000)],
    years: Annotated[int, Field(description="Duration of the loan in years", ge=1, le=100)],
) -> str:
    """Loan EMI: the monthly payment (instalment) of a loan or mortgage, total interest and total payment."""
    finite("principal", principal)
    months = years * 12
    monthly = annual_rate / 1200
    # log1p and expm1 keep tiny rates exact; a rate of 0 is a loan without interest.
    emi = principal * monthly / -math.expm1(-months * math.log1p(monthly)) if monthly else principal / months
    paid = emi * months
    return f"EMI {emi:.2f} per month | total interest {paid - principal:.2f} | total payment {paid:.2f}"


# --- units -------------------------------------------------------------------

# What people write, where the units library reads something else or nothing.
SPELLINGS = {
    "c": "degC", "°c": "degC", "deg c": "degC", "degree c": "degC", "degrees c": "degC",
    "celsius": "degC", "centigrade": "degC", "degree celsius": "degC", "degrees celsius": "degC",
    "degrees centigrade": "degC",
    "f": "degF", "°f": "degF", "deg f": "degF", "degree f": "degF", "degrees f": "degF",
    "fahrenheit": "degF", "degree fahrenheit": "degF", "degrees fahrenheit": "degF",
    "k": "kelvin", "kelvin": "kelvin", "kelvins": "kelvin",
    "kms": "km", "kilometre": "km", "kilometres": "km", "mi": "mile", "metre": "meter", "metres": "meter",
    "centimetre": "cm", "centimetres": "cm", "millimetre": "mm", "millimetres": "mm",
    "'": "foot", '"': "inch", "in": "inch", "ft": "foot", "yd": "yard", "yds": "yard",
    "nm": "nanometer", "nautical mile": "nautical_mile", "nautical miles": "nautical_mile", "nmi": "nautical_mile",
    "light year": "light_year", "light years": "light_year", "lightyears": "light_year",
    "kgs": "kg", "kilo": "kg", "kilos": "kg", "gram": "gram", "grams": "gram", "gms": "gram",
    "grammes": "gram", "lb": "pound", "lbs": "pound", "pounds": "pound", "oz": "ounce", "st": "stone",
    "tonne": "metric_ton", "tonnes": "metric_ton", "metric ton": "metric_ton", "metric tons": "metric_ton",
    "t": "metric_ton", "long ton": "long_ton", "long tons": "long_ton",
    "l": "liter", "litre": "liter", "litres": "liter", "millilitre": "ml", "millilitres": "ml",
    "gal": "gallon", "us gallon": "gallon", "us gallons": "gallon",
    "uk gallon": "imperial_gallon", "uk gallons": "imperial_gallon",
    "imperial gallon": "imperial_gallon", "imperial gallons": "imperial_gallon",
    "uk pint": "imperial_pint", "uk pints": "imperial_pint",
    "imperial pint": "imperial_pint", "imperial pints": "imperial_pint",
    "fl oz": "fluid_ounce", "floz": "fluid_ounce", "fluid ounce": "fluid_ounce", "fluid ounces": "fluid_ounce",
    "tablespoons": "tablespoon", "teaspoons": "teaspoon",
    "kmh": "km/hour", "kmph": "km/hour", "kph": "km/hour", "kilometers per hour": "km/hour",
    "kilometres per hour": "km/hour", "mph": "mile/hour", "miles per hour": "mile/hour", "mps": "meter/second",
    "meters per second": "meter/second", "metres per second": "meter/second", "feet per second": "foot/second",
    "knots": "knot", "kn": "knot", "kt": "knot",
    "sqm": "meter**2", "m2": "meter**2", "m3": "meter**3", "km2": "km**2", "cm2": "cm**2", "cm3": "cm**3",
    "cc": "cm**3", "ft2": "foot**2", "sqft": "foot**2", "ft3": "foot**3",
    "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second",
    "wk": "week", "wks": "week", "yr": "year", "yrs": "year",
    "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte", "pb": "petabyte",
    "cal": "calorie", "calories": "calorie", "kcal": "kilocalorie", "kcals": "kilocalorie", "kwh": "kilowatt_hour",
    "hp": "horsepower", "psi": "psi", "deg": "degree", "rad": "radian", "mpg": "mile/gallon",
}  # fmt: skip

# Tried when the two units do not fit: an ounce of water is a fluid ounce.
FLUID = {"ounce": "fluid_ounce"}

CURRENCIES = set(
    "aed ars aud bdt bgn brl cad chf clp cny cop czk dkk egp eur gbp hkd huf idr ils inr jpy kes krw kwd lkr "
    "mad mxn myr ngn nok npr nzd php pkr pln qar ron rub sar sek sgd thb try twd uah usd vnd zar".split()
)
CURRENCY_WORDS = {
    "$": "usd", "dollar": "usd", "dollars": "usd", "us dollar": "usd", "us dollars": "usd",
    "€": "eur", "euro": "eur", "euros": "eur", "£": "gbp", "pound sterling": "gbp", "pounds sterling": "gbp",
    "₹": "inr", "rupee": "inr", "rupees": "inr", "¥": "jpy", "yen": "jpy", "yuan": "cny", "won": "krw",
    "swiss franc": "chf", "swiss francs": "chf", "ruble": "rub", "rubles": "rub", "bitcoin": "btc", "btc": "btc",
}  # fmt: skip

# Nothing that the units library would have to calculate: one factor, or factors
# joined by / * or a space, each with at most one small exponent.
UNIT = re.compile(r"[^\W\d_][\w]*(?:(?:\*\*|\^)?-?\d)?(?:\s*[/* ]\s*[^\W\d_][\w]*(?:(?:\*\*|\^)?-?\d)?){0,3}")


def currency_of(unit: str) -> str | None:
    word = unit.strip().lower()
    word = CURRENCY_WORDS.get(word, word)
    return word.upper() if word in CURRENCIES or word == "btc" else None


@lru_cache(maxsize=1)
def units() -> Any:
    """Builds the units library's registry, the costly part, once and only when asked."""
    import pint

    try:
        # Parsed definitions are kept in the user's cache folder: 0.2 s less at the next start.
        return pint.UnitRegistry(cache_folder=":auto:")
    except Exception:  # no home, a full disk, a cache file half written by another process
        return pint.UnitRegistry()


def unit_of(text: str) -> Any:
    import pint

    name = " ".join(text.strip().split()).rstrip(".")
    known = SPELLINGS.get(name.lower())
    if known is None:
        lowered = name.lower().replace(" per ", "/").replace("²", "**2").replace("³", "**3")
        power = re.fullmatch(r"(square|sq|cubic|cu)\.?\s+(.+)", lowered)
        if power:
            exponent = 2 if power[1] in ("square", "sq") else 3
            return unit_of(power[2]) ** exponent
        name = name.replace("²", "**2").replace("³", "**3").replace("°", "deg").replace(" per ", "/")
        if len(name) > 40 or not UNIT.fullmatch(name):
            raise ToolError(f"{text.strip()[:40]!r} is not a unit")
        parts = [SPELLINGS.get(part.lower(), part) for part in re.split(r"\s*/\s*", name)]
        known = "/".join(parts) if "/" in name else name
    registry = units()
    for candidate in dict.fromkeys([known, known.lower(), known.lower().rstrip("s")]):
        try:
            return registry.parse_units(candidate)
        except (pint.UndefinedUnitError, ValueError, AttributeError):
            continue
        except Exception:  # the library's parser has many ways to refuse
            break
    import difflib

    near = difflib.get_close_matches(name.lower(), SPELLINGS, 3, 0.75)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ToolError(f"unknown unit {text.strip()!r}{hint}")


def kind_of(unit: Any) -> str:
    return str(unit.dimensionality).replace("[", "").replace("]", "")


def convert_money(value: float, source: str, target: str, rate: float | None) -> str:
    if source == target:
        rate = 1.0
    if rate is None:
        raise ToolError(
            f"no exchange rate is known here: state `rate`, how many {target} one {source} is worth, "
            f"to convert {source} to {target}"
        )
    if not math.isfinite(rate) or rate <= 0:
        raise ToolError("the exchange rate must be greater than 0")
    return (
        f"{show(value)} {source} = {show(round(value * rate, 4))} {target} "
        f"(at the stated rate 1 {source} = {show(rate)} {target})"
    )


@mcp.tool(
    title="Convert units",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def unit_convert(
    value: Annotated[float, Field(description="The quantity to convert, as a number of from_unit")],
    from_unit: Annotated[
        str,
        Field(
            description="Unit to convert from: km, miles, feet, inches, cm, kg, lbs, pounds, ounces, "
            "celsius, fahrenheit, kelvin, liters, gallons, cups, mph, kmh, hours, MB, USD, ...",
            max_length=40,
        ),
    ],
    to_unit: Annotated[str, Field(description="Unit to convert to, in the same spellings", max_length=40)],
    rate: Annotated[
        float | None,
        Field(description="For currencies only: the exchange rate, how many to_unit one from_unit is worth"),
    ] = None,
) -> str:
    """Convert units of length, weight, temperature, volume, area, speed, time, data; currency at a stated rate."""
    finite("value", value)
    source_money, target_money = currency_of(from_unit), currency_of(to_unit)
    if source_money and target_money:
        return convert_money(value, source_money, target_money, rate)
    if source_money or target_money:
        raise ToolError(f"cannot convert {from_unit.strip()} to {to_unit.strip()}: only one of them is a currency")
    source, target = unit_of(from_unit), unit_of(to_unit)
    registry = units()
    if source.dimensionality != target.dimensionality:
        source = registry.parse_units(FLUID.get(str(source), str(source)))
        target = registry.parse_units(FLUID.get(str(target), str(target)))
    if source.dimensionality != target.dimensionality:
        raise ToolError(
            f"cannot convert {from_unit.strip()} ({kind_of(source)}) to {to_unit.strip()} ({kind_of(target)})"
        )
    quantity = registry.Quantity(value, source)
    if kind_of(source) == "temperature" and quantity.to("kelvin").magnitude < -1e-9:
        raise ToolError(f"{show(value)} {from_unit.strip()} is below absolute zero")
    try:
        result = quantity.to(target).magnitude
    except Exception as error:
        raise ToolError(f"cannot convert {from_unit.strip()} to {to_unit.strip()}: {error}") from None
    return f"{show(value)} {from_unit.strip()} = {show(float(result))} {to_unit.strip()}"


if __name__ == "__main__":
    mcp.run()
