//! Plans without a model, over the shipped tools and over tools that this crate was not written for.

use std::sync::Arc;

use dormouse_types::{Features, Scope, ServerKey, ServerName, Tool};
use jiff::civil::date;
use serde_json::{Map, Value, json};

use super::{Plan, Unaided, decide};
use crate::repair::Repairer;
use crate::search::tests::catalog;
use crate::search::{MAX_CANDIDATES, SearchIndex};

const SHIPPED: &str = include_str!("../../tests/fixtures/shipped.json");
const OTHERS: &str = include_str!("../../tests/fixtures/others.json");

fn index(fixtures: &[&str]) -> SearchIndex {
    let index = SearchIndex::new();
    let mut servers = Vec::new();
    for fixture in fixtures {
        let parsed: Map<String, Value> = serde_json::from_str(fixture).unwrap();
        for (server, tools) in parsed {
            let tools: Vec<Tool> = serde_json::from_value(tools).unwrap();
            let key = ServerKey::store(ServerName::try_new(server).unwrap());
            servers.push((key, Arc::new(Features { tools, ..Features::default() })));
        }
    }
    index.sync(&catalog(&servers, Vec::new()));
    index
}

fn plan(index: &SearchIndex, query: &str) -> Unaided {
    let candidates = index.search(query, &Scope::Store, MAX_CANDIDATES);
    let now = date(2026, 11, 21).at(9, 0, 0, 0); // a Saturday
    decide(query, &candidates, &Repairer::new(), now)
}

/// A plan in one line: `tool{arguments}`, `ask tool: missing`, or `none`.
fn shown(unaided: &Unaided) -> String {
    match &unaided.plan {
        Plan::Calls(calls) => {
            let calls = calls
                .iter()
                .map(|call| format!("{}{}", call.key.tool, Value::Object(call.arguments.clone())));
            calls.collect::<Vec<_>>().join(" + ")
        }
        Plan::NoTool { .. } => "none".to_owned(),
        Plan::AskBack { tool, missing, .. } => match tool {
            Some(tool) => format!("ask {}: {}", tool.tool, missing.join(", ")),
            None => "ask which".to_owned(),
        },
    }
}

/// Checks a table of queries and reports all that differ, with what the fit says.
fn check(fixtures: &[&str], table: &[(&str, &str)]) {
    let index = index(fixtures);
    let mut wrong = Vec::new();
    let (mut first, mut of) = (0, 0);
    for (query, expected) in table {
        if let Some((tool, _)) = expected.split_once('{') {
            let found = index.search(query, &Scope::Store, 1);
            first += usize::from(found.first().is_some_and(|candidate| candidate.key.tool.as_str() == tool));
            of += 1;
        }
        let unaided = plan(&index, query);
        let found = shown(&unaided);
        if found != *expected {
            wrong.push(format!(
                "{query}\n   expected {expected}\n   found    {found}\n   {:?}",
                unaided.reasons
            ));
        }
    }
    println!("the search alone puts {first} of {of} right tools first");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

fn call(tool: &str, arguments: Value) -> String {
    format!("{tool}{arguments}")
}

#[test]
fn the_seeds_twelve_queries_go_to_the_right_shipped_tools() {
    let search = |query: &str| call("search_web", json!({ "query": query }));
    check(
        &[SHIPPED],
        &[
            ("search latest AI news", &search("latest AI news")),
            ("say hello in three languages", "none"),
            ("fetch https://example.com", &call("fetch_url", json!({"url": "https://example.com"}))),
            ("calculate 42 * 58", &call("calculate", json!({"expression": "42 * 58"}))),
            ("search python tutorials", &search("python tutorials")),
            ("capital of France", "none"),
            ("search docker best practices", &search("docker best practices")),
            ("calculate 15% of 8500", &call("calculate", json!({"expression": "15% of 8500"}))),
            ("explain MCP", "none"),
            ("search streamlit documentation", &search("streamlit documentation")),
            (
                "split a bill of 2400 among 3 with 15 percent tip",
                &call("split_bill", json!({"total": 2400, "people": 3, "tip_percent": 15})),
            ),
            (
                "convert 100 km to miles",
                &call("unit_convert", json!({"value": 100, "from_unit": "km", "to_unit": "miles"})),
            ),
        ],
    );
}

#[test]
fn shipped_tools_are_found_in_other_words() {
    let calculate = |expression: &str| call("calculate", json!({ "expression": expression }));
    check(
        &[SHIPPED],
        &[
            (
                "split a bill of 2400 among 3 people with 15 percent tip",
                &call("split_bill", json!({"total": 2400, "people": 3, "tip_percent": 15})),
            ),
            (
                "split a bill of 2400 between 3 people",
                &call("split_bill", json!({"total": 2400, "people": 3})),
            ),
            (
                "Split the bill: $86.40, four friends",
                &call("split_bill", json!({"total": 86.4, "people": 4})),
            ),
            ("split a bill of 2400", "ask split_bill: people"),
            ("what is 2 + 2?", &calculate("2 + 2")),
            ("How much is (3 + 4) * 5", &calculate("(3 + 4) * 5")),
            ("square root of 144", &calculate("square root of 144")),
            ("calculate", "ask calculate: expression"),
            (
                "monthly payment for a loan of 250000 at 7.5 % for 20 years",
                &call("loan_emi", json!({"principal": 250_000, "annual_rate": 7.5, "years": 20})),
            ),
            (
                "what's the EMI on a 500k loan for 10 years at 8%",
                &call("loan_emi", json!({"principal": 500_000, "annual_rate": 8, "years": 10})),
            ),
            (
                "convert 72 degrees fahrenheit to celsius",
                &call(
                    "unit_convert",
                    json!({"value": 72, "from_unit": "degrees fahrenheit", "to_unit": "celsius"}),
                ),
            ),
            (
                "how many miles is 5 km?",
                &call("unit_convert", json!({"value": 5, "from_unit": "km", "to_unit": "miles"})),
            ),
            (
                "search the web for rust async traits",
                &call("search_web", json!({"query": "rust async traits"})),
            ),
            (
                "look up the history of tea on the web",
                &call("search_web", json!({"query": "history of tea"})),
            ),
            (
                "summarize https://example.com/post",
                &call("summarize_url", json!({"url": "https://example.com/post"})),
            ),
            (
                "summarize https://www.youtube.com/watch?v=abc",
                &call("summarize_video", json!({"youtube_url": "https://www.youtube.com/watch?v=abc"})),
            ),
            (
                "get the transcript of https://youtu.be/abc",
                &call("get_transcript", json!({"youtube_url": "https://youtu.be/abc"})),
            ),
            ("list my notes", &call("list_notes", json!({}))),
            ("what notes do I have", &call("list_notes", json!({}))),
            ("read the note shopping", &call("read_note", json!({"title": "shopping"}))),
            (
                "create a note titled Shopping with content milk and eggs",
                &call("create_note", json!({"title": "Shopping", "content": "milk and eggs"})),
            ),
            (
                "create a note \"Ideas\": build a boat",
                &call("create_note", json!({"title": "Ideas", "content": "build a boat"})),
            ),
            ("write a note about bees", &call("create_note_from_topic", json!({"topic": "bees"}))),
        ],
    );
}

#[test]
fn two_requests_in_one_query_are_two_calls() {
    let sum = call("calculate", json!({"expression": "2+2"}));
    let way = call("unit_convert", json!({"value": 5, "from_unit": "km", "to_unit": "miles"}));
    check(
        &[SHIPPED],
        &[
            ("calculate 2+2 and convert 5 km to miles", &format!("{sum} + {way}")),
            ("calculate 2+2, then convert 5 km to miles.", &format!("{sum} + {way}")),
            ("search for cats and dogs", &call("search_web", json!({"query": "cats and dogs"}))),
            (
                "search for salt and pepper and convert 5 km to miles",
                &format!("{} + {way}", call("search_web", json!({"query": "salt and pepper"}))),
            ),
        ],
    );
}

#[test]
fn tools_it_was_not_written_for_get_the_right_arguments() {
    check(
        &[SHIPPED, OTHERS],
        &[
            ("what's the weather in Paris?", &call("get_current_weather", json!({"city": "Paris"}))),
            (
                "weather in New York in fahrenheit",
                &call("get_current_weather", json!({"city": "New York", "units": "fahrenheit"})),
            ),
            ("what's the weather", "ask get_current_weather: city"),
            (
                "forecast for Oslo for the next 5 days",
                &call("get_forecast", json!({"location": "Oslo", "days": 5})),
            ),
            ("will it rain tomorrow in Lisbon", &call("get_forecast", json!({"location": "Lisbon"}))),
            (
                "create an event \"Team lunch\" tomorrow at 12:30",
                &call("create_event", json!({"title": "Team lunch", "start": "2026-11-22T12:30:00"})),
            ),
            (
                "schedule a meeting called Budget review on 2026-12-03 at 3pm with ann@example.com and bob@example.com",
                &call(
                    "create_event",
                    json!({"title": "Budget review", "start": "2026-12-03T15:00:00", "attendees": ["ann@example.com", "bob@example.com"]}),
                ),
            ),
            ("list my events on December 5th", &call("list_events", json!({"date": "2026-12-05"}))),
            ("what appointments do I have tomorrow?", &call("list_events", json!({"date": "2026-11-22"}))),
            (
                "send an email to bob@example.com about the budget saying I'll be late",
                &call(
                    "send_email",
                    json!({"to": "bob@example.com", "subject": "budget", "body": "I'll be late"}),
                ),
            ),
            ("email alice@example.org", "ask send_email: body"),
            ("search my inbox for invoices", &call("search_inbox", json!({"query": "invoices"}))),
            ("read the file /etc/hosts", &call("read_file", json!({"path": "/etc/hosts"}))),
            ("show me src/main.rs", &call("read_file", json!({"path": "src/main.rs"}))),
            (
                "write \"hello world\" to the file out.txt",
                &call("write_file", json!({"path": "out.txt", "content": "hello world"})),
            ),
            (
                "list the files in /tmp recursively",
                &call("list_directory", json!({"path": "/tmp", "recursive": true})),
            ),
            (
                "move a.txt to backup/a.txt",
                &call("moveFile", json!({"source": "a.txt", "destination": "backup/a.txt"})),
            ),
            (
                "git commit with message \"fix the parser\"",
                &call("git_commit", json!({"message": "fix the parser"})),
            ),
            (
                "create a branch feature/login",
                &call("git_create_branch", json!({"branch_name": "feature/login"})),
            ),
            (
                "create a git branch called hotfix from main",
                &call("git_create_branch", json!({"branch_name": "hotfix", "base": "main"})),
            ),
            ("show the last 5 commits in the git log", &call("git_log", json!({"max_count": 5}))),
            ("get issue 42", &call("get_issue", json!({"issue_number": 42}))),
            (
                "show issue #128 of rust-lang/rust",
                &call("get_issue", json!({"issue_number": 128, "repo": "rust-lang/rust"})),
            ),
            (
                "search repositories for vector database sorted by stars",
                &call("search_repositories", json!({"query": "vector database", "sort": "stars"})),
            ),
            (
                "run the query SELECT name FROM users WHERE age > 30",
                &call("run_query", json!({"sql": "SELECT name FROM users WHERE age > 30"})),
            ),
            ("describe the users table", &call("describe_table", json!({"table": "users"}))),
            (
                "play Bohemian Rhapsody by Queen",
                &call("play_song", json!({"title": "Bohemian Rhapsody", "artist": "Queen"})),
            ),
            ("set the volume to 40%", &call("set_volume", json!({"level": 40}))),
            (
                "directions from Berlin to Munich by train",
                &call("get_directions", json!({"origin": "Berlin", "destination": "Munich"})),
            ),
            (
                "how do I get from the airport to the station walking: directions",
                &call(
                    "get_directions",
                    json!({"origin": "airport", "destination": "station", "mode": "walking"}),
                ),
            ),
            (
                "find cafes near Alexanderplatz",
                &call("find_places", json!({"query": "cafes", "location": "Alexanderplatz"})),
            ),
            (
                "convert 50 USD to EUR",
                &call(
                    "exchange_currency",
                    json!({"amount": 50, "from_currency": "USD", "to_currency": "EUR"}),
                ),
            ),
            (
                "exchange 20 dollars into yen",
                &call(
                    "exchange_currency",
                    json!({"amount": 20, "from_currency": "USD", "to_currency": "JPY"}),
                ),
            ),
            (
                "convert 10 pounds to kg",
                &call("unit_convert", json!({"value": 10, "from_unit": "pounds", "to_unit": "kg"})),
            ),
            ("set a timer for 10 minutes", &call("set_timer", json!({"duration_seconds": 600}))),
            (
                "start a timer for 1 hour and 30 minutes",
                &call("set_timer", json!({"duration_seconds": 5400})),
            ),
            ("wake me up at 6:45", &call("set_alarm", json!({"time": "06:45"}))),
            (
                "remind me to buy milk tomorrow at 9am",
                &call("create_reminder", json!({"text": "buy milk", "when": "tomorrow at 9am"})),
            ),
            (
                "translate good morning into German",
                &call("translate_text", json!({"text": "good morning", "target_language": "German"})),
            ),
            (
                "translate 'where is the station?' to Japanese",
                &call(
                    "translate_text",
                    json!({"text": "where is the station?", "target_language": "Japanese"}),
                ),
            ),
            ("stock price of AAPL", &call("get_stock_price", json!({"symbol": "AAPL"}))),
            (
                "turn on the light in the kitchen",
                &call("set_light", json!({"room": "kitchen", "state": "on"})),
            ),
            (
                "switch off the living room light",
                &call("set_light", json!({"room": "living room", "state": "off"})),
            ),
            ("set the thermostat to 21.5 degrees", &call("set_thermostat", json!({"temperature": 21.5}))),
            (
                "post \"deploy is done\" to the general channel",
                &call("post_message", json!({"channel": "general", "text": "deploy is done"})),
            ),
            (
                "add a task to call the plumber with high priority",
                &call("add_task", json!({"task": "call the plumber", "priority": "high"})),
            ),
            (
                "generate an image of a red fox in the snow",
                &call("generate_image", json!({"prompt": "red fox in the snow"})),
            ),
            (
                "resize photo.png to width 800 and height 600",
                &call("resize_image", json!({"path": "photo.png", "width": 800, "height": 600})),
            ),
            (
                "compound interest on 1000 at 5% for 10 years",
                &call("compound_interest", json!({"principal": 1000, "annual_rate": 5, "years": 10})),
            ),
            ("define serendipity", &call("define_word", json!({"word": "serendipity"}))),
            ("what is the meaning of the word ephemeral", &call("define_word", json!({"word": "ephemeral"}))),
            ("roll 3 dice with 20 sides", &call("roll_dice", json!({"sides": 20, "count": 3}))),
            ("random number between 5 and 50", &call("random_number", json!({"minimum": 5, "maximum": 50}))),
            ("find the contact Jane Miller", &call("find_contact", json!({"name": "Jane Miller"}))),
            ("mean of 3, 5, 8 and 12", &call("mean", json!({"numbers": [3, 5, 8, 12]}))),
        ],
    );
}

#[test]
fn what_no_tool_can_answer_calls_none() {
    let queries = [
        "hello",
        "hi there!",
        "thanks a lot",
        "who are you?",
        "capital of France",
        "say hello in three languages",
        "explain MCP",
        "tell me a joke",
        "who wrote Hamlet",
        "why is the sky blue",
        "write a poem about autumn",
        "what is the meaning of life",
        "is the earth flat?",
        "give me ideas for a birthday party",
        "I'm bored",
        "how do I cook rice",
        "how do I delete a file in Linux?",
        "what do you think about free will",
        "my sister is getting married next year and I do not know what to wear",
        "delete my notes",
        "paint my house green",
        "42",
        "the a of",
        "?!",
        "🦀🦀🦀",
    ];
    let table: Vec<(&str, &str)> = queries.iter().map(|query| (*query, "none")).collect();
    check(&[SHIPPED, OTHERS], &table);
}

#[test]
fn other_languages_and_odd_texts_never_panic_and_call_nothing_wrong() {
    check(
        &[SHIPPED, OTHERS],
        &[
            ("Wie wird das Wetter morgen in Berlin?", "none"),
            ("¿Cuál es la capital de Francia?", "none"),
            ("今日の東京の天気を教えてください", "none"),
            ("какая сегодня погода", "none"),
            ("ما هو الطقس اليوم", "none"),
            ("\u{0}\u{1}\u{feff}", "none"),
            ("", "none"),
            ("''''\"\"\"``", "none"),
        ],
    );
    let index = index(&[SHIPPED, OTHERS]);
    for query in [
        "convert ".repeat(130_000),
        "ü".repeat(600_000),
        "(".repeat(100_000),
        "1+".repeat(50_000),
        "\"".repeat(99_999),
    ] {
        let _ = plan(&index, &query);
    }
}

/// Written after the planner was tuned on the tables above. 21 of 36 were right at first; what the
/// others showed was then corrected by rule, not by query.
#[test]
fn queries_in_yet_other_words_get_the_right_arguments() {
    check(
        &[SHIPPED, OTHERS],
        &[
            (
                "how's the weather in Buenos Aires today",
                &call("get_current_weather", json!({"city": "Buenos Aires"})),
            ),
            (
                "give me the 7 day forecast for Reykjavik",
                &call("get_forecast", json!({"location": "Reykjavik", "days": 7})),
            ),
            (
                "please send a mail to sue@corp.io with the subject Lunch and the body See you at noon",
                &call(
                    "send_email",
                    json!({"to": "sue@corp.io", "subject": "Lunch", "body": "See you at noon"}),
                ),
            ),
            (
                "find mails from dave@corp.io about the contract",
                &call("search_inbox", json!({"query": "contract", "from_address": "dave@corp.io"})),
            ),
            ("open notes/todo.md", &call("read_file", json!({"path": "notes/todo.md"}))),
            (
                "rename draft.txt to final.txt",
                &call("moveFile", json!({"source": "draft.txt", "destination": "final.txt"})),
            ),
            (
                "commit with the message 'bump version' and amend",
                &call("git_commit", json!({"message": "bump version", "amend": true})),
            ),
            (
                "what columns does the orders table have? describe it",
                &call("describe_table", json!({"table": "orders"})),
            ),
            ("play Hey Jude", &call("play_song", json!({"title": "Hey Jude"}))),
            ("volume to 70 percent", &call("set_volume", json!({"level": 70}))),
            (
                "cycling directions from Leiden to Delft",
                &call(
                    "get_directions",
                    json!({"origin": "Leiden", "destination": "Delft", "mode": "cycling"}),
                ),
            ),
            (
                "find sushi restaurants in Kyoto",
                &call("find_places", json!({"query": "sushi restaurants", "location": "Kyoto"})),
            ),
            (
                "how much is 250 euros in dollars?",
                &call(
                    "exchange_currency",
                    json!({"amount": 250, "from_currency": "EUR", "to_currency": "USD"}),
                ),
            ),
            ("timer 45 seconds", &call("set_timer", json!({"duration_seconds": 45}))),
            ("set an alarm for 7:15 am", &call("set_alarm", json!({"time": "07:15"}))),
            (
                "remind me about the dentist on friday",
                &call("create_reminder", json!({"text": "dentist", "when": "friday"})),
            ),
            (
                "translate \"thank you\" into Korean please",
                &call("translate_text", json!({"text": "thank you", "target_language": "Korean"})),
            ),
            ("price of TSLA stock", &call("get_stock_price", json!({"symbol": "TSLA"}))),
            ("turn the bedroom light off", &call("set_light", json!({"room": "bedroom", "state": "off"}))),
            (
                "tell the #random channel \"lunch is here\": post it",
                &call("post_message", json!({"channel": "random", "text": "lunch is here"})),
            ),
            ("add buy stamps to my to-do list", &call("add_task", json!({"task": "buy stamps"}))),
            (
                "draw a picture of a lighthouse at night",
                &call("generate_image", json!({"prompt": "lighthouse at night"})),
            ),
            (
                "what does obfuscate mean? definition please",
                &call("define_word", json!({"word": "obfuscate"})),
            ),
            ("roll two dice", &call("roll_dice", json!({"count": 2}))),
            ("average of 10, 20 and 60", &call("mean", json!({"numbers": [10, 20, 60]}))),
            ("look up the phone number of Tom Baker", &call("find_contact", json!({"name": "Tom Baker"}))),
            ("what's 18% of 2,450?", &call("percentage", json!({"value": 2450, "percent": 18}))),
            (
                "80 kg in pounds",
                &call("unit_convert", json!({"value": 80, "from_unit": "kg", "to_unit": "pounds"})),
            ),
            ("google the best hiking boots", &call("search_web", json!({"query": "best hiking boots"}))),
            ("who invented the telephone", "none"),
            ("good morning", "none"),
            ("what is your name", "none"),
            ("can you help me with my homework", "none"),
            ("sing me a song", "none"),
            ("is it going to be a good year for wine", "none"),
            ("compare Rust and Go", "none"),
        ],
    );
}

#[test]
fn what_can_destroy_needs_a_better_fit() {
    let index = index(&[OTHERS]);
    let query = "commit history, last 20";
    let now = date(2026, 11, 21).at(9, 0, 0, 0);
    let plan = |hint: bool| {
        let mut candidates = index.search(query, &Scope::Store, MAX_CANDIDATES);
        candidates.retain(|candidate| candidate.key.tool.as_str() == "git_commit");
        let mut tool = (*candidates[0].tool).clone();
        tool.annotations = hint.then(|| json!({"destructiveHint": true}).into());
        candidates[0].tool = Arc::new(tool);
        decide(query, &candidates, &Repairer::new(), now).plan
    };
    // FIXME: without the hint the noun is taken for the deed.
    assert!(matches!(plan(false), Plan::Calls(_)));
    assert!(matches!(plan(true), Plan::NoTool { .. }));
}
