//! How a task reads in each life of the protocol, and how one reads in the other's words.
//!
//! A task of 2025-11-25 stands apart from its result. One of 2026-07-28 carries what belongs to its
//! status: its result, its error, its open questions; and a tool that says itself that it failed has
//! completed there, and failed here.

use serde_json::{Map, Value, json};

/// The members that have another name, each in the older and in the newer words.
const NAMES: [(&str, &str); 2] = [("ttl", "ttlMs"), ("pollInterval", "pollIntervalMs")];
/// What a task of 2026-07-28 has more than one of 2025-11-25.
const WITHIN: [&str; 4] = ["result", "error", "inputRequests", "resultType"];
/// By what a message of 2025-11-25 says to which task it belongs.
pub(crate) const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A task of 2026-07-28, as a client with a session gets it.
pub(crate) fn for_session(task: &Value) -> Value {
    let mut it = renamed(task, |(older, newer)| (newer, older));
    if task["status"] == "completed" && task["result"]["isError"] == true {
        it.insert("status".to_owned(), Value::from("failed"));
    }
    if !it.contains_key("statusMessage")
        && let Some(words) = task["error"]["message"].as_str()
    {
        it.insert("statusMessage".to_owned(), Value::from(words));
    }
    // There it must be said; `null` is for ever.
    it.entry("ttl").or_insert(Value::Null);
    Value::Object(it)
}

/// A task of 2025-11-25, as a client of 2026-07-28 gets it: what belongs to its status is not in it.
pub(crate) fn for_stateless(task: &Value) -> Value {
    let mut it = renamed(task, |(older, newer)| (older, newer));
    it.entry("ttlMs").or_insert(Value::Null);
    if let Some(begun) = it.get("createdAt").cloned() {
        it.entry("lastUpdatedAt").or_insert(begun);
    }
    Value::Object(it)
}

fn renamed(
    task: &Value,
    names: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Map<String, Value> {
    let mut it = task.as_object().cloned().unwrap_or_default();
    for name in WITHIN {
        it.shift_remove(name);
    }
    for (from, to) in NAMES.map(names) {
        if let Some(value) = it.shift_remove(from) {
            it.insert(to.to_owned(), whole(value));
        }
    }
    it
}

/// A time in milliseconds, which is whole in 2026-07-28.
fn whole(value: Value) -> Value {
    match value.as_f64() {
        Some(time) if !value.is_u64() && time.is_finite() && time >= 0.0 => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is not negative"
            )]
            return Value::from(time.ceil() as u64);
        }
        _ => value,
    }
}

/// A call's result of 2026-07-28 that is a task, as a client with a session gets it.
pub(crate) fn begun_for_session(result: &Value) -> Value {
    let mut task = for_session(result);
    let meta = task.as_object_mut().and_then(|members| members.shift_remove("_meta"));
    let mut it = json!({ "task": task });
    if let Some(meta) = meta {
        it["_meta"] = meta;
    }
    it
}

/// A call's result of 2025-11-25 that has a task, as a client of 2026-07-28 gets it.
pub(crate) fn begun_for_stateless(result: &Value) -> Value {
    let mut it = for_stateless(&result["task"]);
    it["resultType"] = Value::from("task");
    if let Some(meta) = result.get("_meta") {
        it["_meta"] = meta.clone();
    }
    it
}

/// Says in a message to which task it belongs; `None`: says it no more.
pub(crate) fn relate(message: &mut Value, task: Option<&str>) {
    let Some(members) = message.as_object_mut() else { return };
    match task {
        Some(task) => {
            let meta = members.entry("_meta").or_insert_with(|| json!({}));
            if let Value::Object(meta) = meta {
                meta.insert(RELATED.to_owned(), json!({ "taskId": task }));
            }
        }
        None => rename(members, None),
    }
}

/// Says in our words to which task a message belongs, if it says it; `None`: says it no more.
pub(crate) fn rename(members: &mut Map<String, Value>, task: Option<&str>) {
    let Some(Value::Object(meta)) = members.get_mut("_meta") else { return };
    match task {
        Some(task) => {
            if let Some(related) = meta.get_mut(RELATED) {
                *related = json!({ "taskId": task });
            }
        }
        None => {
            if meta.shift_remove(RELATED).is_some() && meta.is_empty() {
                members.shift_remove("_meta");
            }
        }
    }
}

/// Whether nothing more becomes of a task, in either life.
pub(crate) fn has_ended(task: &Value) -> bool {
    matches!(task["status"].as_str(), Some("completed" | "failed" | "cancelled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_in_the_words_of_each_life() {
        let older = json!({ "taskId": "a", "status": "working", "createdAt": "t", "lastUpdatedAt": "u",
            "ttl": 60_000.0, "pollInterval": 0.5, "xMore": [1] });
        let newer = json!({ "taskId": "a", "status": "working", "createdAt": "t", "lastUpdatedAt": "u",
            "ttlMs": 60_000, "pollIntervalMs": 1, "xMore": [1] });
        assert_eq!(for_stateless(&older), newer);
        let mut said = newer.clone();
        said["resultType"] = json!("complete");
        assert_eq!(for_stateless(&for_session(&said)), newer);
        assert_eq!(for_session(&json!({ "taskId": "a" })), json!({ "taskId": "a", "ttl": null }));
    }

    #[test]
    fn what_belongs_to_a_status_shows_in_the_status() {
        let status = |task: Value| for_session(&task)["status"].clone();
        assert_eq!(status(json!({ "status": "completed", "result": { "isError": true } })), "failed");
        assert_eq!(status(json!({ "status": "completed", "result": { "content": [] } })), "completed");
        let failed = for_session(&json!({ "status": "failed", "error": { "code": 1, "message": "no ink" } }));
        assert_eq!((&failed["statusMessage"], failed.get("error")), (&json!("no ink"), None));
    }

    #[test]
    fn a_message_says_to_which_task_it_belongs() {
        let mut message = json!({ "content": [] });
        relate(&mut message, Some("a"));
        assert_eq!(message["_meta"][RELATED], json!({ "taskId": "a" }));
        relate(&mut message, None);
        assert_eq!(message, json!({ "content": [] }));

        let mut said = json!({ "level": "info", "_meta": { "x": 1 } });
        let members = said.as_object_mut().unwrap();
        rename(members, Some("ours"));
        assert_eq!(members["_meta"], json!({ "x": 1 }), "what says nothing says nothing");
        members["_meta"][RELATED] = json!({ "taskId": "its" });
        rename(members, Some("ours"));
        assert_eq!(members["_meta"], json!({ "x": 1, RELATED: { "taskId": "ours" } }));
        rename(members, None);
        assert_eq!(members["_meta"], json!({ "x": 1 }));
    }
}
