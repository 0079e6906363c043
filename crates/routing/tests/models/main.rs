//! Plans and answers with models: scripted servers on a real port, with the true wire formats.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod answers;
mod double;
mod ollama;
mod openai;
mod plans;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dormouse_routing::{
    Ability, Answer, Candidate, ModelChoice, ModelSettings, Plan, Planned, Question, Router, StepDone,
};
use dormouse_types::{Message, Outcome, ServerKey, ServerName, Tool, ToolKey};
use serde_json::{Map, Value, json};

/// The tools of both fixtures with these names, as the search would hand them over.
fn candidates(names: &[&str]) -> Vec<Candidate> {
    let mut all: Map<String, Value> = serde_json::from_str(include_str!("../fixtures/shipped.json")).unwrap();
    all.extend(serde_json::from_str::<Map<String, Value>>(include_str!("../fixtures/others.json")).unwrap());
    let find = |(rank, name): (usize, &&str)| {
        let found = all.iter().find_map(|(server, tools)| {
            let tool = tools.as_array()?.iter().find(|tool| tool["name"] == **name)?;
            Some((server.clone(), serde_json::from_value::<Tool>(tool.clone()).unwrap()))
        });
        let (server, tool) = found.unwrap_or_else(|| panic!("no fixture {name}"));
        let server = ServerKey::store(ServerName::try_new(&server).unwrap());
        Candidate {
            key: ToolKey { server: server.clone(), tool: tool.name.clone() },
            full_name: format!("{}_{}", server.name, tool.name),
            tool: Arc::new(tool),
            score: 10.0 / (rank + 1) as f64,
        }
    };
    names.iter().enumerate().map(find).collect()
}

fn router(choice: &str, url: &str) -> Router {
    Router::new(ModelSettings {
        choice: choice.parse().unwrap(),
        ollama_url: url.to_owned(),
        openai_url: format!("{url}/v1"),
        openai_key: Some("secret-key".to_owned()),
        timeout: Duration::from_secs(20),
    })
}

fn no_model() -> Router {
    Router::new(ModelSettings { choice: ModelChoice::None, ..ModelSettings::default() })
}

#[derive(Default)]
struct Asked<'q> {
    query: &'q str,
    tools: &'q [&'q str],
    history: &'q [Message],
    done: &'q [StepDone],
}

impl Asked<'_> {
    fn question(&self) -> Question<'_> {
        let abilities = vec![Ability { full_name: "x_do".to_owned(), description: "Does x.".to_owned() }];
        Question {
            query: self.query,
            history: self.history,
            candidates: candidates(self.tools),
            done: self.done,
            abilities,
        }
    }

    async fn plan(&self, router: &Router) -> Planned {
        router.plan(&self.question()).await
    }

    /// The answer and what was streamed.
    async fn answer(&self, router: &Router) -> (Answer, String) {
        let streamed = Mutex::new(String::new());
        let tokens = |token: &str| streamed.lock().unwrap().push_str(token);
        let plan = Plan::NoTool { reason: "none".to_owned() };
        let answer = router.answer(&self.question(), &plan, &tokens).await;
        (answer, streamed.into_inner().unwrap())
    }
}

fn step(name: &str, outcome: Outcome, text: &str) -> StepDone {
    StepDone { full_name: name.to_owned(), arguments: Map::new(), outcome, text: text.to_owned() }
}

/// The calls of a plan as `tool{arguments}`.
fn calls(planned: &Planned) -> Vec<String> {
    match &planned.plan {
        Plan::Calls(calls) => calls
            .iter()
            .map(|call| format!("{}{}", call.key.tool, Value::Object(call.arguments.clone())))
            .collect(),
        other => vec![format!("{other:?}")],
    }
}

fn plan_of(calls: &[(&str, Value)]) -> String {
    let calls: Vec<Value> =
        calls.iter().map(|(tool, arguments)| json!({"tool": tool, "arguments": arguments})).collect();
    json!({"calls": calls, "more": false}).to_string()
}
