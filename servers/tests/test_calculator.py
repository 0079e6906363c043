"""The calculator: what people type, what must never hang, what must be refused."""

import json

import pytest
from conftest import load

calculator = load("calculator")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("42 * 58", "2436"),
        ("15% of 8500", "1275"),
        ("18 percent of 500", "90"),
        ("10% of 50% of 300", "15"),
        ("(3+4)% of 50", "3.5"),
        ("25%", "0.25"),
        ("200 + 10%", "220"),
        ("100 - 20%", "80"),
        ("5% + 3%", "0.08"),
        ("100/10%", "1000"),
        ("17 % 5", "2"),
        ("7 % -3", "-2"),
        ("17 mod 5", "2"),
        ("10% - 5", "-4.9"),
        ("2 + 3 * 4", "14"),
        ("-2**2", "-4"),
        ("2^10", "1024"),
        ("2**-1", "0.5"),
        ("7 // 2", "3"),
        ("10/2", "5"),
        ("10/3", "3.33333333"),
        ("0.1 + 0.2", "0.3"),
        ("1,200 * 3", "3600"),
        ("1,00,000 + 1", "100001"),
        ("max(1,200)", "200"),
        ("12 x 3", "36"),
        ("6 × 7 ÷ 2", "21"),
        ("8 − 3", "5"),
        ("12 times 3 plus 1", "37"),
        ("100 divided by 8", "12.5"),
        ("sqrt(144)", "12"),
        ("sqrt 144", "12"),
        ("square root of 144", "12"),
        ("√16", "4"),
        ("sin(0) + cos(0)", "1"),
        ("log(100, 10)", "2"),
        ("abs(-3) + round(2.6)", "6"),
        ("round(2.345, 2)", "2.35"),
        ("factorial(20)", "2432902008176640000"),
        ("2 * pi", "6.28318531"),
        ("007 + 1", "8"),
        ("1e3", "1000"),
        ("1 / 10**12", "1e-12"),
        ("12345678901234567890 * 10", "123456789012345678900"),
        ("15% of $8500", "1275"),
        ("1+" * 200 + "1", "201"),
    ],
)
def test_expression_has_its_value(expression: str, value: str) -> None:
    assert calculator.calculate(expression) == f"{expression} = {value}"


def test_words_around_the_expression_are_understood() -> None:
    assert calculator.calculate("what is 18% of 500?").endswith("= 90")
    assert calculator.calculate("calculate 42 * 58 =").endswith("= 2436")


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("1/0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("9**9**9", "too large"),
        ("9**9**9**9", "too large"),
        ("(10**600) * (10**700)", "too large"),
        ("2**5000", "too large"),
        ("1e308 * 10", "too large"),
        ("1e999", "too large"),
        ("10.0**400", "too large"),
        ("factorial(401)", "0 to 400"),
        ("factorial(2.5)", "0 to 400"),
        ("sqrt(-1)", "not defined"),
        ("log(0)", "not defined"),
        ("(-8)**0.5", "not a real number"),
        ("", "empty"),
        ("   ", "empty"),
        ("what is ?", "nothing to calculate"),
        ("(", "not a complete expression"),
        ("2 +", "not a complete expression"),
        ("2 3", "not a complete expression"),
        ("1.5.5", "not a complete expression"),
        ("sqrt()", "argument"),
        ("round(1, 2, 3)", "argument"),
        ("x + 1", "unknown name"),
        ("pct", "unknown name"),
        ("open(1)", "unknown function"),
        ("__import__('os').system('id')", "cannot read"),
        ("(1).real", "cannot read"),
        ("[1]*9", "cannot read"),
        ("'a'*9", "cannot read"),
        ("1 if 2 else 3", "only numbers"),
        ("1 and 2", "only numbers"),
        ("lambda: 1", "cannot read"),
        ("0x10", "decimal"),
        ("5 of 10", "after a percentage"),
        ("-" * 400 + "1", "nested"),
        ("+".join(["1"] * 400), "too long"),
    ],
)
def test_bad_expression_is_an_error(expression: str, fault: str) -> None:
    with pytest.raises(calculator.ToolError, match=fault):
        calculator.calculate(expression)


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (100, "km", "miles", "100 km = 62.13711922 miles"),
        (25, "C", "F", "25 C = 77 F"),
        (77, "fahrenheit", "celsius", "77 fahrenheit = 25 celsius"),
        (-40, "°F", "°C", "-40 °F = -40 °C"),
        (0, "K", "C", "0 K = -273.15 C"),
        (10, "lbs", "kg", "10 lbs = 4.5359237 kg"),
        (1, "meters", "feet", "1 meters = 3.2808399 feet"),
        (1, "litres", "gallons", "1 litres = 0.26417205 gallons"),
        (12, "inches", "cm", "12 inches = 30.48 cm"),
        (60, "mph", "km/h", "60 mph = 96.56064 km/h"),
        (1, "KM", "m", "1 KM = 1000 m"),
        (1, "sq ft", "m²", "1 sq ft = 0.09290304 m²"),
        (8, "oz", "ml", "8 oz = 236.5882365 ml"),
        (8, "oz", "g", "8 oz = 226.796185 g"),
        (1, "GB", "MB", "1 GB = 1000 MB"),
        (2, "hours", "minutes", "2 hours = 120 minutes"),
        (1, "square miles", "km2", "1 square miles = 2.58998811 km2"),
        (2, "nautical miles", "km", "2 nautical miles = 3.704 km"),
        (1, "meters per second", "kmh", "1 meters per second = 3.6 kmh"),
    ],
)
def test_units_convert(value: float, source: str, target: str, result: str) -> None:
    assert calculator.unit_convert(value, source, target) == result


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((1, "km", "kg"), r"km \(length\) to kg \(mass\)"),
        ((1, "blorps", "m"), "unknown unit 'blorps'"),
        ((1, "killos", "kg"), "did you mean kilos"),
        ((1, "", "m"), "not a unit"),
        ((1, "9**9**9", "m"), "not a unit"),
        ((1, "m**9**9", "m"), "not a unit"),
        ((1, "__class__", "m"), "not a unit"),
        ((1, "m" * 40, "m"), "unknown unit"),
        ((1, "m " * 19, "m"), "not a unit"),
        ((-300, "C", "F"), "below absolute zero"),
        ((float("nan"), "m", "km"), "must be a number"),
        ((float("inf"), "m", "km"), "must be a number"),
        ((100, "usd", "inr"), "state `rate`, how many INR one USD"),
        ((100, "usd", "kg"), "only one of them is a currency"),
        ((100, "usd", "inr", 0), "greater than 0"),
        ((100, "usd", "inr", float("nan")), "greater than 0"),
    ],
)
def test_impossible_conversion_is_an_error(arguments: tuple, fault: str) -> None:
    with pytest.raises(calculator.ToolError, match=fault):
        calculator.unit_convert(*arguments)


def test_currency_converts_at_the_stated_rate_only() -> None:
    converted = calculator.unit_convert(100, "USD", "rupees", 83.5)
    assert converted == "100 USD = 8350 INR (at the stated rate 1 USD = 83.5 INR)"


def test_bill_is_split_to_the_cent() -> None:
    assert calculator.split_bill(2400, 3, 15) == "bill 2400.00 | tip 15% 360.00 | total 2760.00 | per person 920.00"
    # Two pay 33.33 and one 33.34: nothing is lost by rounding.
    assert calculator.split_bill(100, 3).endswith("per person 33.33 (1 of 3 pay 33.34)")
    with pytest.raises(calculator.ToolError):
        calculator.split_bill(float("inf"), 3)


def test_percentage_and_loan_have_their_values() -> None:
    assert calculator.percentage(500, 18) == "18% of 500 = 90"
    loan = calculator.loan_emi(500000, 7.5, 10)
    assert loan == "EMI 5935.09 per month | total interest 212210.61 | total payment 712210.61"
    assert calculator.loan_emi(1200, 0, 1).startswith("EMI 100.00 per month | total interest 0.00")


def test_live_server_answers_and_reports_faults_as_mcp_errors(talk) -> None:
    fine, converted, bomb, zero, empty, people, unknown = talk(
        "calculator",
        ("calculate", {"expression": "42 * 58"}),
        ("unit_convert", {"value": 100, "from_unit": "km", "to_unit": "miles"}),
        ("calculate", {"expression": "9**9**9"}),
        ("calculate", {"expression": "1/0"}),
        ("calculate", {"expression": ""}),
        ("split_bill", {"total": 100, "people": 0}),
        ("divide", {}),
    )
    assert (fine.is_error, fine.text) == (False, "42 * 58 = 2436")
    assert (converted.is_error, converted.text) == (False, "100 km = 62.13711922 miles")
    assert bomb.is_error and bomb.text.startswith("the number is too large")
    assert (zero.is_error, zero.text) == (True, "division by zero")
    for refused in (empty, people, unknown):
        assert refused.is_error
        assert "Error executing" not in refused.text and "http" not in refused.text
    assert json.dumps(people.text).startswith('"invalid arguments:\\npeople')


def test_broken_cache_of_the_units_library_costs_time_only(talk, tmp_path) -> None:
    cache = tmp_path / "cache"
    call = ("unit_convert", {"value": 1, "from_unit": "km", "to_unit": "m"})
    env = {"XDG_CACHE_HOME": str(cache)}
    assert talk("calculator", call, env=env)[0].text == "1 km = 1000 m"
    for stored in cache.rglob("*.pickle"):
        stored.write_bytes(stored.read_bytes()[:20])
    assert talk("calculator", call, env=env)[0].text == "1 km = 1000 m"
    (tmp_path / "file").write_text("no folder")
    assert talk("calculator", call, env={"XDG_CACHE_HOME": str(tmp_path / "file")})[0].text == "1 km = 1000 m"
