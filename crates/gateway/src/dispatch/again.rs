//! Calls of stateless clients that their server takes only after its user was at an address.
//!
//! A server of 2025-11-25 refuses such a call with an error that names the address. In 2026-07-28 that
//! error is none: there the question is the call's result, and the client makes the call again when
//! its user has answered. Nothing of the call has run, so nothing waits here meanwhile, and the call
//! that comes again is a call like the first.

use dormouse::Outcome;
use serde_json::{Map, Value, json};

use super::faults::told;
use crate::caller::{Caller, Life};
use crate::message::{Fault, INTERNAL_ERROR, MISSING_CAPABILITY, Request};
use crate::unasked::URL_ELICITATION_REQUIRED;

/// The state that a client brings back. Whoever makes it up makes a call, no more.
const STATE: &str = "dormouse-again:url";
/// The methods whose result may be a question.
const MAY_ASK: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

/// The refusal of a server, as the question that it is for a stateless client.
pub(super) fn as_question(
    caller: &Caller,
    request: &Request,
    answer: Result<Value, Fault>,
) -> Result<Value, Fault> {
    let (Err(fault), Life::Stateless(meta)) = (&answer, &caller.life) else { return answer };
    if fault.code != URL_ELICITATION_REQUIRED || !MAY_ASK.contains(&request.method.as_str()) {
        return answer;
    }
    let questions = questions(fault);
    if questions.is_empty() {
        return answer;
    }
    if meta.capabilities["elicitation"].get("url").is_none() {
        let words =
            "The server wants its user at an address, and this client did not announce that it can ask";
        let needed = json!({ "requiredCapabilities": { "elicitation": { "url": {} } } });
        return Err(Fault::new(MISSING_CAPABILITY, words).with_data(needed));
    }
    Ok(json!({ "resultType": "input_required", "inputRequests": questions, "requestState": STATE }))
}

fn questions(fault: &Fault) -> Map<String, Value> {
    let named = fault.data.as_ref().and_then(|data| data.get("elicitations")?.as_array());
    let addressed = named.into_iter().flatten().filter(|it| it["url"].is_string());
    let worded = addressed.enumerate().map(|(place, elicitation)| {
        let name = elicitation["elicitationId"].as_str().map(str::to_owned);
        let mut params = elicitation.clone();
        params["mode"] = Value::from("url");
        let question = json!({ "method": "elicitation/create", "params": params });
        (name.unwrap_or_else(|| format!("question-{}", place + 1)), question)
    });
    worded.collect()
}

/// Makes of a request that comes again the one that it was. If its user has declined, here is the
/// answer: the server would only ask once more.
pub(super) fn taken_up(request: &mut Request) -> Option<Result<Value, Fault>> {
    if request.params.get("requestState").and_then(Value::as_str) != Some(STATE) {
        return None;
    }
    request.params.shift_remove("requestState");
    let answers = request.params.shift_remove("inputResponses").unwrap_or_default();
    let declined = answers.as_object()?.values().any(|answer| answer["action"] != "accept");
    if !declined {
        return None;
    }
    let words = "the user did not go where the server wants them first";
    Some(match request.method.as_str() {
        "tools/call" => Ok(told(words, Outcome::Failed)),
        _ => Err(Fault::new(INTERNAL_ERROR, words).with_data(json!({ "outcome": "failed" }))),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::caller::{Meta, Nowhere};
    use crate::message::Id;

    fn request(method: &str, params: Value) -> Request {
        let Value::Object(params) = params else { panic!("{params}") };
        Request { id: Id::Text("1".to_owned()), method: method.to_owned(), params }
    }

    fn asked(method: &str, capabilities: Value, data: Value) -> Result<Value, Fault> {
        let meta = Meta { capabilities: Arc::new(capabilities), log_level: None };
        let caller = Caller { life: Life::Stateless(Arc::new(meta)), outlet: Arc::new(Nowhere) };
        let fault = Fault::new(URL_ELICITATION_REQUIRED, "first").with_data(data);
        as_question(&caller, &request(method, json!({})), Err(fault))
    }

    #[test]
    fn only_addresses_become_questions_and_only_where_a_result_may_be_one() {
        let able = json!({ "elicitation": { "url": {} } });
        let named = json!({ "elicitations": [{ "url": "https://a.example" }, { "elicitationId": "e", "url": "https://b.example" }, 5] });
        for method in MAY_ASK {
            let result = asked(method, able.clone(), named.clone()).unwrap();
            let asked = &result["inputRequests"];
            assert_eq!(asked.as_object().unwrap().len(), 2, "{result}");
            assert_eq!(asked["question-1"]["params"], json!({ "url": "https://a.example", "mode": "url" }));
            assert_eq!(asked["e"]["method"], "elicitation/create");
        }
        for (method, data) in
            [("x/unheard", named.clone()), ("tools/call", json!({})), ("tools/call", json!([5]))]
        {
            assert_eq!(asked(method, able.clone(), data).unwrap_err().code, URL_ELICITATION_REQUIRED);
        }
        let unable = asked("tools/call", json!({ "elicitation": {} }), named).unwrap_err();
        assert_eq!(unable.code, MISSING_CAPABILITY);
    }

    #[test]
    fn who_comes_again_makes_the_same_call_unless_the_user_declined() {
        let again = |method: &str, answers: Value| {
            let mut it =
                request(method, json!({ "name": "a", "requestState": STATE, "inputResponses": answers }));
            let answer = taken_up(&mut it);
            assert_eq!(Value::Object(it.params), json!({ "name": "a" }));
            answer
        };
        for accepted in [json!({ "e": { "action": "accept" } }), json!({}), Value::Null] {
            assert!(again("tools/call", accepted).is_none());
        }
        let declined = json!({ "e": { "action": "accept" }, "f": { "action": "decline" } });
        assert_eq!(again("tools/call", declined.clone()).unwrap().unwrap()["isError"], true);
        assert!(again("prompts/get", declined).unwrap().is_err());

        let mut other = request("tools/call", json!({ "requestState": "its own", "inputResponses": {} }));
        assert!(taken_up(&mut other).is_none());
        assert_eq!(other.params.len(), 2);
    }
}
