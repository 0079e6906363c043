//! What is corrected, what is not, and what it says about it.

use dormouse_types::{Arguments, Tool, ToolName};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{InvalidArguments, Receipt, Repairer, Rule};

fn tool(schema: Value) -> Tool {
    Tool::new(ToolName::try_new("t").unwrap(), schema)
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn repair(schema: &Value, arguments: Value) -> Result<(Arguments, Vec<Receipt>), InvalidArguments> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    Repairer::new().repair(&tool(schema.clone()), arguments)
}

/// Checks what arguments become, and by which rules; a second repair must change nothing.
fn check(schema: &Value, arguments: Value, expected: Value, rules: &[(&str, Rule)]) {
    let (found, receipts) = repair(schema, arguments.clone()).unwrap_or_else(|e| panic!("{arguments}: {e}"));
    assert_eq!(Value::Object(found.clone()), expected, "{arguments}");
    let by: Vec<(&str, Rule)> = receipts.iter().map(|r| (r.argument.as_str(), r.rule)).collect();
    assert_eq!(by, rules, "{arguments}");
    assert_eq!(repair(schema, Value::Object(found.clone())).unwrap(), (found, Vec::new()));
}

fn problems(schema: &Value, arguments: Value) -> Vec<(String, String)> {
    let invalid = repair(schema, arguments).unwrap_err();
    invalid.problems.into_iter().map(|problem| (problem.path, problem.message)).collect()
}

fn convert() -> Value {
    object(
        json!({"value": {"type": "number"}, "from_unit": {"type": "string"}, "to_unit": {"type": "string"}}),
        &["value", "from_unit", "to_unit"],
    )
}

#[test]
fn the_seeds_four_cases() {
    let query = object(json!({"query": {"type": "string"}}), &["query"]);
    check(&query, json!({"q": "tea"}), json!({"query": "tea"}), &[("query", Rule::Similar)]);
    check(&query, json!({"query": "tea"}), json!({"query": "tea"}), &[]);
    // One value for three parameters: nobody can say which.
    assert_eq!(problems(&convert(), json!({"x": "km"})).len(), 3);
    // One name right: the seed left the rest alone, here it is corrected.
    check(
        &convert(),
        json!({"value": 5, "src": "km", "dst": "miles"}),
        json!({"value": 5, "from_unit": "km", "to_unit": "miles"}),
        &[("from_unit", Rule::Similar), ("to_unit", Rule::Similar)],
    );
}

#[test]
fn unknown_names_pair_in_the_order_of_the_schema_and_not_of_the_alphabet() {
    // The seed sorted the expected names and gave `from_unit` the amount.
    let expected = json!({"value": 5, "from_unit": "km", "to_unit": "miles"});
    let (found, _) = repair(&convert(), json!({"amount": 5, "src": "km", "dst": "miles"})).unwrap();
    assert_eq!(Value::Object(found), expected);
    check(
        &convert(),
        json!({"a": 5, "b": "km", "c": "miles"}),
        expected,
        &[("value", Rule::Position), ("from_unit", Rule::Position), ("to_unit", Rule::Position)],
    );
}

#[test]
fn optional_parameters_do_not_keep_required_ones_from_their_values() {
    let schema = object(
        json!({"limit": {"type": "integer"}, "text": {"type": "string"}, "strict": {"type": "boolean"}}),
        &["text"],
    );
    check(&schema, json!({"zzz": "hello"}), json!({"text": "hello"}), &[("text", Rule::Position)]);
}

#[test]
fn names_that_differ_in_case_and_separators_are_the_same() {
    let schema =
        object(json!({"fileName": {"type": "string"}, "max_count": {"type": "integer"}}), &["fileName"]);
    check(
        &schema,
        json!({"file_name": "a", "MaxCount": 2}),
        json!({"fileName": "a", "max_count": 2}),
        &[("fileName", Rule::Spelling), ("max_count", Rule::Spelling)],
    );
}

#[test]
fn types_are_converted_without_loss_only() {
    let schema = object(
        json!({"n": {"type": "integer"}, "x": {"type": "number"}, "s": {"type": "string"}, "b": {"type": "boolean"}}),
        &[],
    );
    check(&schema, json!({"n": "3"}), json!({"n": 3}), &[("n", Rule::Type)]);
    check(&schema, json!({"x": "7.5"}), json!({"x": 7.5}), &[("x", Rule::Type)]);
    check(&schema, json!({"s": 42}), json!({"s": "42"}), &[("s", Rule::Type)]);
    check(&schema, json!({"b": "True"}), json!({"b": true}), &[("b", Rule::Type)]);
    for lossy in ["00713", "+3", "1,000", "3 people", "", "0x10", "12345678901234567890123", "3.7"] {
        assert!(repair(&schema, json!({"n": lossy, "x": 1})).is_err() || lossy.is_empty(), "{lossy}");
    }
    // A text that looks like a number is a text.
    check(&schema, json!({"s": "00713"}), json!({"s": "00713"}), &[]);
    check(&schema, json!({"s": "713"}), json!({"s": "713"}), &[]);
}

#[test]
fn optional_types_and_lists_are_converted_too() {
    let schema = json!({
        "type": "object",
        "properties": {
            "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "ids": {"type": "array", "items": {"type": "integer"}},
            "size": {"$ref": "#/$defs/Size"},
        },
        "$defs": {"Size": {"type": "object", "properties": {"width": {"type": "integer"}}, "required": ["width"]}},
    });
    check(&schema, json!({"n": "3"}), json!({"n": 3}), &[("n", Rule::Type)]);
    check(&schema, json!({"tags": "red"}), json!({"tags": ["red"]}), &[("tags", Rule::Type)]);
    check(
        &schema,
        json!({"tags": "[\"a\", \"b\"]"}),
        json!({"tags": ["a", "b"]}),
        &[("tags", Rule::JsonText)],
    );
    check(&schema, json!({"ids": ["1", 2]}), json!({"ids": [1, 2]}), &[("ids/0", Rule::Type)]);
    check(
        &schema,
        json!({"size": {"Width": "3"}}),
        json!({"size": {"width": 3}}),
        &[("size/width", Rule::Spelling), ("size/width", Rule::Type)],
    );
    check(
        &schema,
        json!({"size": "{\"width\": \"3\"}"}),
        json!({"size": {"width": 3}}),
        &[("size", Rule::JsonText), ("size/width", Rule::Type)],
    );
}

#[test]
fn a_choice_is_corrected_when_only_one_is_near() {
    let schema = object(json!({"unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}), &["unit"]);
    check(&schema, json!({"unit": "Celsius"}), json!({"unit": "celsius"}), &[("unit", Rule::Choice)]);
    check(&schema, json!({"unit": "farenheit"}), json!({"unit": "fahrenheit"}), &[("unit", Rule::Choice)]);
    assert_eq!(problems(&schema, json!({"unit": "kelvin"}))[0].0, "/unit");
    let close = object(json!({"x": {"enum": ["alpha1", "alpha2"]}}), &["x"]);
    assert_eq!(problems(&close, json!({"x": "alpha"})).len(), 1);
}

#[test]
fn unknown_names_are_dropped_only_where_the_schema_forbids_them() {
    let open = object(json!({"a": {"type": "integer"}}), &["a"]);
    check(&open, json!({"a": "1", "extra": 2}), json!({"a": 1, "extra": 2}), &[("a", Rule::Type)]);
    let mut closed = open;
    closed["additionalProperties"] = json!(false);
    check(&closed, json!({"a": 1, "extra": 2}), json!({"a": 1}), &[("extra", Rule::Unknown)]);
}

#[test]
fn empty_optional_arguments_are_left_out() {
    let schema = object(json!({"a": {"type": "string"}, "n": {"type": "integer"}}), &["a"]);
    check(&schema, json!({"a": "x", "n": null}), json!({"a": "x"}), &[("n", Rule::Empty)]);
    check(&schema, json!({"a": "x", "n": ""}), json!({"a": "x"}), &[("n", Rule::Empty)]);
    assert_eq!(problems(&schema, json!({"a": null}))[0].0, "/a");
}

#[test]
fn arguments_within_arguments_are_taken_out() {
    let schema = object(json!({"city": {"type": "string"}}), &["city"]);
    check(
        &schema,
        json!({"arguments": {"city": "Oslo"}}),
        json!({"city": "Oslo"}),
        &[("arguments", Rule::Unwrapped)],
    );
    check(
        &schema,
        json!({"params": "{\"city\": \"Oslo\"}"}),
        json!({"city": "Oslo"}),
        &[("params", Rule::Unwrapped)],
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let found = problems(
        &object(
            json!({"people": {"type": "integer", "minimum": 1}, "city": {"type": "string"}}),
            &["people", "city"],
        ),
        json!({"people": 0}),
    );
    assert_eq!(
        found,
        [
            ("/city".to_owned(), "is required".to_owned()),
            ("/people".to_owned(), "0 is less than the minimum of 1".to_owned()),
        ]
    );
}

#[test]
fn a_broken_or_remote_schema_lets_arguments_through() {
    for schema in [
        json!({"type": 7}),
        json!({"$ref": "https://example.com/schema"}),
        json!("x"),
        json!({"pattern": "("}),
    ] {
        check(&schema, json!({"a": "1"}), json!({"a": "1"}), &[]);
    }
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let schema = json!({
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "v": {"type": "integer"}}}},
    });
    check(
        &schema,
        json!({"node": {"next": {"next": {"v": "1"}}}}),
        json!({"node": {"next": {"next": {"v": 1}}}}),
        &[("node/next/next/v", Rule::Type)],
    );
    let looped = json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}});
    let _ = repair(&looped, json!({"a": 1}));
    assert!(super::inlined(&schema).to_string().len() < 100_000);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        "[a-z0-9 ]{0,8}".prop_map(Value::from),
        prop_oneof![Just("00713"), Just("3"), Just("true"), Just("null"), Just("[1]"), Just("{}")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "number"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "array", "items": {"type": "integer"}})),
        Just(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
        Just(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})),
        Just(json!({"enum": ["3", "true", "x"]})),
        Just(json!({})),
    ];
    let properties = prop::collection::btree_map("[a-d]{1}", kind, 0..4);
    (properties, any::<bool>(), any::<bool>()).prop_map(|(properties, closed, all)| {
        let required: Vec<&String> = if all { properties.keys().collect() } else { Vec::new() };
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": !closed})
    })
}

proptest! {
    #[test]
    fn valid_arguments_are_never_touched(schema in any_schema(), arguments in prop::collection::btree_map("[a-d]{1}", any_json(), 0..4)) {
        let arguments = json!(arguments);
        let is_valid = jsonschema::validator_for(&schema).unwrap().is_valid(&arguments);
        match repair(&schema, arguments.clone()) {
            Ok((found, receipts)) => {
                prop_assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&Value::Object(found.clone())));
                prop_assert_eq!(receipts.is_empty(), Value::Object(found.clone()) == arguments);
                prop_assert!(!is_valid || receipts.is_empty());
                prop_assert_eq!(repair(&schema, Value::Object(found.clone())), Ok((found, Vec::new())));
            }
            Err(invalid) => {
                prop_assert!(!is_valid);
                prop_assert!(!invalid.problems.is_empty());
            }
        }
    }

    #[test]
    fn any_schema_and_any_arguments_end_without_a_panic(schema in any_json(), arguments in prop::collection::btree_map(".{0,3}", any_json(), 0..4)) {
        let _ = repair(&schema, json!(arguments));
    }
}
