//! Entries of lists, put right where a client could not read them.
//!
//! A client reads a list as a whole: many take none of it if one entry is not as MCP has it. Alone
//! such a server harms itself only; beside others it would take all their entries away too. So a
//! member that MCP knows, and that is `null` or of another form, is dropped here, and what can be put
//! right without another meaning is. What MCP does not know passes as it is.

use serde_json::{Map, Value, json};

use super::Kind;

/// Members that MCP knows, and what each must be.
type Known = [(&'static str, Check)];
/// Puts a value right within. `false`: it is not what MCP has there.
type Check = fn(&mut Value, &mut Dropped) -> bool;

/// The names of the members that were not as MCP has them; those that were `null` do not count.
#[derive(Debug, Default)]
pub(super) struct Dropped(Vec<&'static str>);

impl Dropped {
    /// In words; `None` if nothing was.
    pub(super) fn words(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("`{}`", self.0.join("`, `")))
    }

    fn note(&mut self, name: &'static str) {
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

const TOOL: &Known = &[
    ("title", text),
    ("description", text),
    ("outputSchema", output),
    ("annotations", hints),
    ("execution", execution),
    ("icons", icons),
    ("_meta", object),
];
const HINTS: &Known = &[
    ("title", text),
    ("readOnlyHint", flag),
    ("destructiveHint", flag),
    ("idempotentHint", flag),
    ("openWorldHint", flag),
];
const EXECUTION: &Known = &[("taskSupport", task_support)];
const ICON: &Known = &[("mimeType", text), ("sizes", sizes), ("theme", theme)];
const RESOURCE: &Known = &[
    ("title", text),
    ("description", text),
    ("mimeType", text),
    ("size", whole),
    ("annotations", annotations),
    ("icons", icons),
    ("_meta", object),
];
const ANNOTATIONS: &Known = &[("audience", audience), ("priority", share), ("lastModified", moment)];
const PROMPT: &Known =
    &[("title", text), ("description", text), ("arguments", arguments), ("icons", icons), ("_meta", object)];
const ARGUMENT: &Known = &[("title", text), ("description", text), ("required", flag)];

/// Puts an entry right, and says what was dropped of it.
///
/// # Errors
/// It cannot be: why, in words.
pub(super) fn mend(kind: Kind, entry: &mut Map<String, Value>) -> Result<Dropped, String> {
    let mut dropped = Dropped::default();
    let known = match kind {
        Kind::Tool => {
            if let Some(schema) = entry.get_mut("inputSchema") {
                input(schema, &mut dropped)?;
            }
            TOOL
        }
        Kind::Resource | Kind::Template => RESOURCE,
        Kind::Prompt => PROMPT,
    };
    keep(entry, known, &mut dropped);
    Ok(dropped)
}

fn keep(members: &mut Map<String, Value>, known: &Known, dropped: &mut Dropped) {
    for (name, is_fit) in known {
        let Some(value) = members.get_mut(*name) else { continue };
        let is_null = value.is_null();
        if is_null || !is_fit(value, dropped) {
            members.shift_remove(*name);
            if !is_null {
                dropped.note(name);
            }
        }
    }
}

fn object_of(value: &mut Value, known: &Known, dropped: &mut Dropped) -> bool {
    let Some(members) = value.as_object_mut() else { return false };
    keep(members, known, dropped);
    true
}

/// The schema of a tool's arguments, which are an object whatever it says.
fn input(schema: &mut Value, dropped: &mut Dropped) -> Result<(), String> {
    if schema.is_null() {
        *schema = json!({});
    }
    let Some(members) = schema.as_object_mut() else {
        return Err("its `inputSchema` is no object".to_owned());
    };
    match members.get("type") {
        Some(Value::String(is)) if is == "object" => {}
        None | Some(Value::Null) => drop(members.insert("type".to_owned(), Value::from("object"))),
        Some(Value::Array(any)) if any.iter().any(|is| is == "object") => {
            members.insert("type".to_owned(), Value::from("object"));
        }
        Some(_) => return Err("its `inputSchema` is not that of an object".to_owned()),
    }
    of_object(members, dropped);
    Ok(())
}

fn output(schema: &mut Value, dropped: &mut Dropped) -> bool {
    let Some(members) = schema.as_object_mut() else { return false };
    // Any other is in a shell of the hub's where clients know objects only.
    if members.get("type").is_some_and(|is| is == "object") {
        of_object(members, dropped);
    }
    true
}

/// Clients look at two members of the schema of an object themselves.
fn of_object(schema: &mut Map<String, Value>, dropped: &mut Dropped) {
    const OF_OBJECT: &Known = &[("properties", properties), ("required", required)];
    keep(schema, OF_OBJECT, dropped);
}

/// Schemas that are no objects say that everything fits, or nothing: an object says it too.
fn properties(value: &mut Value, dropped: &mut Dropped) -> bool {
    let Some(properties) = value.as_object_mut() else { return false };
    for (_, schema) in properties {
        match schema {
            Value::Object(_) => {}
            Value::Bool(true) | Value::Null => *schema = json!({}),
            Value::Bool(false) => *schema = json!({ "not": {} }),
            _ => {
                *schema = json!({});
                dropped.note("properties");
            }
        }
    }
    true
}

fn hints(value: &mut Value, dropped: &mut Dropped) -> bool {
    object_of(value, HINTS, dropped)
}

fn execution(value: &mut Value, dropped: &mut Dropped) -> bool {
    object_of(value, EXECUTION, dropped)
}

fn annotations(value: &mut Value, dropped: &mut Dropped) -> bool {
    object_of(value, ANNOTATIONS, dropped)
}

fn icons(value: &mut Value, dropped: &mut Dropped) -> bool {
    each(value, "icons", dropped, |icon, dropped| {
        icon.get("src").is_some_and(Value::is_string) && object_of(icon, ICON, dropped)
    })
}

fn arguments(value: &mut Value, dropped: &mut Dropped) -> bool {
    each(value, "arguments", dropped, |argument, dropped| {
        argument.get("name").is_some_and(Value::is_string) && object_of(argument, ARGUMENT, dropped)
    })
}

fn required(value: &mut Value, dropped: &mut Dropped) -> bool {
    each(value, "required", dropped, text)
}

fn sizes(value: &mut Value, dropped: &mut Dropped) -> bool {
    each(value, "sizes", dropped, text)
}

fn audience(value: &mut Value, dropped: &mut Dropped) -> bool {
    each(value, "audience", dropped, |role, _| one_of(role, &["user", "assistant"]))
}

/// Keeps what fits of an array.
fn each(value: &mut Value, name: &'static str, dropped: &mut Dropped, is_fit: Check) -> bool {
    let Some(items) = value.as_array_mut() else { return false };
    let all = items.len();
    items.retain_mut(|item| is_fit(item, dropped));
    if items.len() < all {
        dropped.note(name);
    }
    true
}

fn text(value: &mut Value, _: &mut Dropped) -> bool {
    value.is_string()
}

fn flag(value: &mut Value, _: &mut Dropped) -> bool {
    value.is_boolean()
}

fn object(value: &mut Value, _: &mut Dropped) -> bool {
    value.is_object()
}

/// A number without a fraction, however it is written.
fn whole(value: &mut Value, _: &mut Dropped) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn share(value: &mut Value, _: &mut Dropped) -> bool {
    value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number))
}

fn theme(value: &mut Value, _: &mut Dropped) -> bool {
    one_of(value, &["light", "dark"])
}

fn task_support(value: &mut Value, _: &mut Dropped) -> bool {
    one_of(value, &["required", "optional", "forbidden"])
}

fn one_of(value: &Value, known: &[&str]) -> bool {
    value.as_str().is_some_and(|text| known.contains(&text))
}

/// A moment as clients check it: a day that exists, a time, and the distance from UTC.
fn moment(value: &mut Value, _: &mut Dropped) -> bool {
    value.as_str().is_some_and(|text| is_moment(text.as_bytes()).is_some())
}

fn is_moment(text: &[u8]) -> Option<()> {
    let (day, rest) = text.split_at_checked(10)?;
    let (year, month, day) = match day {
        [year @ .., b'-', m1, m2, b'-', d1, d2] => {
            (number(year)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)
        }
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let rest = rest.strip_prefix(b"T").filter(|_| (1..=days).contains(&day))?;
    let mut rest = hour_and_minute(rest)?;
    if let [b':', s1, s2, more @ ..] = rest {
        number(&[*s1, *s2]).filter(|second| *second < 60)?;
        rest = more;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = fraction.get(digits..).filter(|_| digits > 0)?;
        }
    }
    match rest {
        b"Z" => Some(()),
        [b'+' | b'-', distance @ ..] => hour_and_minute(distance).filter(|rest| rest.is_empty()).map(drop),
        _ => None,
    }
}

/// Takes `hh:mm` off; the rest.
fn hour_and_minute(text: &[u8]) -> Option<&[u8]> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let fits = number(&[*h1, *h2])? < 24 && number(&[*m1, *m2])? < 60;
    fits.then_some(rest)
}

fn number(digits: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    digits.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, entry: Value, mended: Value) {
        let mut it = entry.clone();
        let dropped = mend(kind, it.as_object_mut().unwrap());
        match dropped {
            Ok(_) => assert_eq!(it, mended, "{entry}"),
            Err(words) => assert_eq!(json!(words), mended, "{entry}"),
        }
    }

    /// An entry whose one member is `given`, and should be `mended`; `null`: not there.
    fn member(kind: Kind, name: &str, given: Value, mended: Value) {
        let mut expected = json!({ "name": "a" });
        if !mended.is_null() {
            expected[name] = mended;
        }
        check(kind, json!({ "name": "a", name: given }), expected);
    }

    #[test]
    fn what_is_as_mcp_has_it_passes_with_all_that_nobody_knows() {
        let odd = json!({ "deep": [1, null, { "a": null }] });
        let icons = json!([{ "src": "a:b", "mimeType": "m", "sizes": ["any"], "theme": "dark", "x": odd }]);
        let schema = json!({ "type": "object", "properties": { "a": { "x": null } }, "required": ["a"], "x": odd,
            "$defs": { "D": true }, "additionalProperties": false });
        let tool = json!({
            "name": "a", "title": "A", "description": "", "inputSchema": schema, "outputSchema": schema,
            "annotations": { "title": "", "readOnlyHint": true, "destructiveHint": false,
                "idempotentHint": true, "openWorldHint": false, "x": null },
            "execution": { "taskSupport": "required", "x": odd }, "icons": icons, "_meta": odd, "x": null,
        });
        let resource = json!({
            "uri": "a:b", "name": "b", "mimeType": "m", "size": 1.0, "icons": icons, "_meta": odd, "x": odd,
            "annotations": { "audience": ["user", "assistant"], "priority": 1, "x": odd,
                "lastModified": "2024-02-29T23:59:59.123+05:30" },
        });
        let prompt = json!({
            "name": "a", "arguments": [{ "name": "b", "title": "B", "required": false, "x": odd }], "x": odd,
        });
        for (kind, entry) in [
            (Kind::Tool, tool),
            (Kind::Resource, resource.clone()),
            (Kind::Template, resource),
            (Kind::Prompt, prompt),
        ] {
            let mut it = entry.clone();
            let dropped = mend(kind, it.as_object_mut().unwrap()).unwrap();
            assert_eq!((it, dropped.words()), (entry, None));
        }
        // Any root that 2026-07-28 allows.
        for root in
            [json!({ "type": "array", "properties": { "x": true } }), json!({ "anyOf": [true] }), json!({})]
        {
            member(Kind::Tool, "outputSchema", root.clone(), root);
        }
    }

    #[test]
    fn a_schema_of_arguments_says_that_they_are_an_object_or_costs_its_tool() {
        let object = json!({ "type": "object" });
        for given in [json!(null), json!({}), json!({ "type": null }), json!({ "type": ["object", "null"] })]
        {
            member(Kind::Tool, "inputSchema", given, object.clone());
        }
        member(
            Kind::Tool,
            "inputSchema",
            json!({ "oneOf": [{}], "properties": { "a": true, "b": false, "c": 5, "d": {} }, "required": ["a", 1] }),
            json!({ "oneOf": [{}], "properties": { "a": {}, "b": { "not": {} }, "c": {}, "d": {} },
                "required": ["a"], "type": "object" }),
        );
        member(Kind::Tool, "inputSchema", json!({ "properties": [], "required": true }), object);
        let no_object = "its `inputSchema` is no object";
        for (given, why) in [
            (json!("x"), no_object),
            (json!([]), no_object),
            (json!(true), no_object),
            (json!({ "type": "string" }), "its `inputSchema` is not that of an object"),
            (json!({ "type": ["array"] }), "its `inputSchema` is not that of an object"),
        ] {
            check(Kind::Tool, json!({ "inputSchema": given }), json!(why));
        }
    }

    #[test]
    fn what_is_null_or_of_another_form_is_dropped() {
        let every = |known: &Known| known.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        for (kind, known) in [(Kind::Tool, TOOL), (Kind::Resource, RESOURCE), (Kind::Prompt, PROMPT)] {
            for name in every(known) {
                // None of them may be a boolean.
                for given in [Value::Null, json!(true)] {
                    member(kind, name, given, Value::Null);
                }
            }
        }
        for (name, given, mended) in [
            ("icons", json!("x"), Value::Null),
            (
                "icons",
                json!([5, { "src": 1 }, { "src": "a", "sizes": "48x48", "theme": "blue" }]),
                json!([{ "src": "a" }]),
            ),
            ("annotations", json!({ "readOnlyHint": null, "title": 1, "x": null }), json!({ "x": null })),
            ("execution", json!({ "taskSupport": "perhaps" }), json!({})),
            ("outputSchema", json!({ "type": "object", "properties": null }), json!({ "type": "object" })),
        ] {
            member(Kind::Tool, name, given, mended);
        }
        for (name, given, mended) in [
            ("size", json!(1.5), Value::Null),
            ("size", json!("1"), Value::Null),
            (
                "annotations",
                json!({ "audience": ["machine", "user"], "priority": 2 }),
                json!({ "audience": ["user"] }),
            ),
        ] {
            member(Kind::Resource, name, given, mended);
        }
        member(
            Kind::Prompt,
            "arguments",
            json!([{}, "a", { "name": "b", "description": null, "required": "yes" }]),
            json!([{ "name": "b" }]),
        );
    }

    #[test]
    fn what_was_dropped_is_named_but_for_nulls() {
        let mut entry = json!({ "title": null, "icons": [5, 6], "annotations": { "readOnlyHint": "yes" } });
        let dropped = mend(Kind::Tool, entry.as_object_mut().unwrap()).unwrap();
        assert_eq!(dropped.words().unwrap(), "`readOnlyHint`, `icons`");
    }

    #[test]
    fn a_moment_is_a_day_that_exists_with_a_time_and_a_distance() {
        for good in ["2026-07-28T00:00:00Z", "2000-02-29T10:00Z", "2026-12-31T23:59:59.5-08:00"] {
            assert!(is_moment(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "2026-07-28",
            "2026-07-28T10:00:00",
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-07-28 10:00:00Z",
            "2026-07-28T24:00:00Z",
            "2026-07-28T10:00:00+0100",
            "2026-07-28T10:00:00.Z",
            "20x6-07-28T10:00:00Z",
            "2026-07-28T10:00:00Zé",
            "é026-07-28T10:00:00Z",
        ] {
            assert!(is_moment(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
