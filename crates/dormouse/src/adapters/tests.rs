//! Schemas in other libraries' words, and calls from them.
use serde_json::{Value, json};

use super::calls::read_calls;
use super::{Calls, Format, MOST_CALLS, UnreadableCalls, answer, gemini, schema};

#[test]
fn gemini_gets_only_what_it_takes() {
    for (schema, expected) in [
        (json!({"type": "string", "format": "uri", "default": "x", "title": "X"}), json!({"type": "STRING"})),
        (json!({"type": "string", "format": "date-time"}), json!({"type": "STRING", "format": "date-time"})),
        (json!({"enum": ["a", "b"]}), json!({"type": "STRING", "enum": ["a", "b"]})),
        (json!({"const": "a"}), json!({"type": "STRING", "enum": ["a"]})),
        (json!({"type": "string", "enum": ["", "a"]}), json!({"type": "STRING"})),
        (
            json!({"enum": [1, 2], "description": "Which."}),
            json!({"type": "INTEGER", "description": "Which. One of 1, 2."}),
        ),
        (
            json!({"type": "integer", "minimum": 1, "exclusiveMaximum": 9}),
            json!({"type": "INTEGER", "minimum": 1}),
        ),
        (json!({"type": ["number", "null"]}), json!({"type": "NUMBER", "nullable": true})),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"}),
            json!({"type": "STRING", "nullable": true, "description": "d"}),
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "boolean"}]}),
            json!({"anyOf": [{"type": "STRING"}, {"type": "BOOLEAN"}]}),
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 1, "uniqueItems": true}),
            json!({"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": 1}),
        ),
        (json!({"type": "array"}), json!({"type": "ARRAY", "items": {"type": "STRING"}})),
        (
            json!({"type": "array", "prefixItems": [{"type": "integer"}], "items": false}),
            json!({"type": "ARRAY", "items": {"type": "STRING"}}),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "STRING", "description": "A JSON object, written as text."}),
        ),
        (
            json!({}),
            json!({"type": "STRING", "description": "Any value; what is no text is written as JSON."}),
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/Point"}], "description": "Where."}),
            json!({"type": "OBJECT", "properties": {"x": {"type": "NUMBER"}}, "required": ["x"], "description": "Where."}),
        ),
    ] {
        let whole = json!({
            "type": "object",
            "properties": {"it": schema},
            "required": ["it", "gone"],
            "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}},
            "additionalProperties": false,
        });
        let narrowed = gemini::parameters(&whole).unwrap();
        assert_eq!(narrowed["properties"]["it"], expected, "{schema}");
        assert_eq!(narrowed["required"], json!(["it"]));
    }
    assert_eq!(gemini::parameters(&json!({"type": "object", "properties": {}})), None);
}

#[test]
fn gemini_names_lead_back() {
    for name in ["calc_add", "_private", "3d_print", "-x_y"] {
        let given = gemini::name(name);
        assert!(given.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
        assert_eq!(gemini::full_name(&given), name);
    }
    assert_eq!(gemini::name("calc_add"), "calc_add");
}

#[test]
fn a_schema_without_an_end_is_cut() {
    let node = json!({
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/Node", "description": "The next."}, "value": {"type": "integer"}},
    });
    let whole = json!({
        "type": "object",
        "properties": {"list": {"$ref": "#/$defs/Node"}, "far": {"$ref": "https://example.com/schema"}},
        "$defs": {"Node": node},
    });
    let inlined = schema::inlined(&whole);
    assert!(!inlined.to_string().contains("$ref"), "{inlined}");
    assert_eq!(inlined["properties"]["list"]["properties"]["next"], json!({"description": "The next."}));
    assert_eq!(inlined["properties"]["far"], json!({}));

    // Each level doubles: without a bound this has 2^40 nodes.
    let defs = (0..40).map(|level| {
        let next = json!({"$ref": format!("#/$defs/L{}", level + 1)});
        (format!("L{level}"), json!({"type": "object", "properties": {"a": next.clone(), "b": next}}))
    });
    let bomb = json!({"$ref": "#/$defs/L0", "$defs": defs.collect::<serde_json::Map<_, _>>()});
    assert!(schema::inlined(&bomb).to_string().len() < 1_000_000);
    assert!(gemini::parameters(&bomb).is_some());
}

#[test]
fn arguments_may_have_the_names_of_keywords() {
    let whole = json!({
        "type": "object",
        "properties": {
            "definitions": {"type": "string"},
            "$ref": {"type": "string"},
            "required": {"$ref": "#/$defs/Yes"},
        },
        "$defs": {"Yes": {"type": "boolean"}},
    });
    let properties = &schema::inlined(&whole)["properties"];
    assert_eq!(
        *properties,
        json!({"definitions": {"type": "string"}, "$ref": {"type": "string"}, "required": {"type": "boolean"}})
    );
}

#[test]
fn the_top_of_a_schema_is_a_plain_object() {
    let plain = |schema: Value| Value::Object(schema::plain_object(&schema));
    assert_eq!(plain(json!(true)), json!({"type": "object", "properties": {}}));
    assert_eq!(plain(json!({})), json!({"type": "object", "properties": {}}));
    let untouched = json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"type": "string"}}});
    assert_eq!(plain(untouched.clone()), untouched);
    let a =
        json!({"properties": {"id": {"type": "string"}, "a": {"type": "string"}}, "required": ["id", "a"]});
    let b =
        json!({"properties": {"id": {"type": "integer"}, "b": {"type": "string"}}, "required": ["id", "b"]});
    let merged = plain(json!({"anyOf": [a, b], "additionalProperties": false}));
    assert_eq!(merged["required"], json!(["id"]));
    assert_eq!(merged["properties"].as_object().unwrap().len(), 3);
    assert!(merged.get("anyOf").is_none() && merged.get("additionalProperties").is_none());
    assert_eq!(plain(json!({"allOf": [a, b]}))["required"], json!(["id", "a", "b"]));
}

fn check(body: Value, format: Format, is_list: bool) -> Calls {
    let calls = read_calls(&body, None).unwrap();
    assert_eq!((calls.format, calls.is_list), (format, is_list), "{body}");
    assert_eq!(calls.calls[0].name, "calc_add", "{body}");
    assert_eq!(calls.calls[0].arguments, Ok(json!({"a": 2}).as_object().unwrap().clone()), "{body}");
    assert_eq!(read_calls(&body, Some(format)).unwrap(), calls);
    calls
}

#[test]
fn each_librarys_call_is_known_by_its_shape() {
    let openai =
        json!({"id": "c1", "type": "function", "function": {"name": "calc_add", "arguments": "{\"a\": 2}"}});
    let responses = json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "calc_add", "arguments": "{\"a\": 2}"});
    let anthropic = json!({"type": "tool_use", "id": "c1", "name": "calc_add", "input": {"a": 2}});
    let gemini = json!({"functionCall": {"id": "c1", "name": "calc_add", "args": {"a": 2}}});
    let snake = json!({"function_call": {"name": "calc_add", "args": {"a": 2}}, "thought_signature": "x"});
    let ollama = json!({"function": {"name": "calc_add", "arguments": {"a": 2}}});
    let langchain = json!({"name": "calc_add", "args": {"a": 2}, "id": "c1", "type": "tool_call"});
    let text = json!({"type": "text", "text": "I add."});
    for (body, format, is_list) in [
        (openai.clone(), Format::OpenAi, false),
        (json!([openai]), Format::OpenAi, true),
        (json!({"role": "assistant", "content": null, "tool_calls": [openai]}), Format::OpenAi, true),
        (json!({"finish_reason": "tool_calls", "message": {"tool_calls": [openai]}}), Format::OpenAi, true),
        (responses.clone(), Format::OpenAiResponses, false),
        (json!({"output": [{"type": "reasoning"}, responses]}), Format::OpenAiResponses, true),
        (anthropic.clone(), Format::Anthropic, false),
        (json!({"role": "assistant", "content": [text, anthropic]}), Format::Anthropic, true),
        (gemini.clone(), Format::Gemini, false),
        (snake, Format::Gemini, false),
        (json!({"role": "model", "parts": [{"text": "x"}, gemini]}), Format::Gemini, true),
        (ollama.clone(), Format::Ollama, false),
        (
            json!({"model": "m", "message": {"role": "assistant", "tool_calls": [ollama]}}),
            Format::Ollama,
            true,
        ),
        (langchain.clone(), Format::LangChain, false),
        (json!({"type": "ai", "content": "", "tool_calls": [langchain]}), Format::LangChain, true),
    ] {
        check(body, format, is_list);
    }
    let bare = json!({"name": "_3d_print", "args": {}});
    let calls = read_calls(&bare, Some(Format::Gemini)).unwrap();
    assert_eq!(calls.calls[0].request(Format::Gemini, None).unwrap().tool, "3d_print");
}

#[test]
fn what_is_no_call_is_said_with_its_place() {
    let call = json!({"type": "tool_use", "id": "1", "name": "x", "input": {}});
    for (body, format, at) in [
        (json!(7), None, ""),
        (json!({}), None, ""),
        (json!({"name": "x"}), None, ""),
        (json!([call, {"type": "text"}]), None, "[1]"),
        (json!([call]), Some(Format::OpenAi), "[0]"),
        (json!({"tool_calls": [{"function": {"name": 3, "arguments": {}}}]}), None, "tool_calls[0]"),
    ] {
        let error = read_calls(&body, format).unwrap_err();
        assert_eq!(error.at(), at, "{body}");
        assert!(error.to_string().contains("langchain"), "{error}");
    }
    let many = Value::Array(vec![call; MOST_CALLS + 1]);
    assert_eq!(read_calls(&many, None), Err(UnreadableCalls::TooMany { count: MOST_CALLS + 1 }));
    assert!(read_calls(&json!([]), None).unwrap().calls.is_empty());
    assert!(read_calls(&json!({"role": "assistant", "content": []}), None).unwrap().calls.is_empty());
}

#[test]
fn wrong_arguments_are_the_answer_of_their_call() {
    for (arguments, wrong) in [
        (json!("{\"a\":"), "no JSON"),
        (json!("[1]"), "a list"),
        (json!("7"), "a number"),
        (json!([1]), "a list"),
        (json!(true), "a boolean"),
    ] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "x", "arguments": arguments}});
        let calls = read_calls(&call, Some(Format::OpenAi)).unwrap();
        let why = calls.calls[0].request(Format::OpenAi, None).unwrap_err();
        assert!(why.contains(wrong), "{why}");
        let told = answer(Format::OpenAi, &calls.calls[0], Err(&why));
        assert_eq!(told["tool_call_id"], "c");
        assert_eq!(told["content"], format!("error: {why}"));
    }
    for nothing in [json!(""), json!(null), json!("{}"), json!("null"), json!({})] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "x", "arguments": nothing}});
        assert!(read_calls(&call, None).unwrap().calls[0].arguments.as_ref().unwrap().is_empty());
    }
}
