//! Each revision of a client with each kind of server: whatever the two sides speak, the client
//! sees the same.

use dormouse_tests::mcp_client::Events;
use dormouse_tests::until;
use serde_json::{Value, json};

use crate::client::{Client, Matrix, all_capabilities};

const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// Says which pair it was, when an assertion fails.
fn pair(client: &Client, server: &str) -> String {
    format!("client {} with server {server}", client.mcp.revision)
}

#[tokio::test]
async fn tools_are_listed_called_and_fail_alike() {
    let matrix = Matrix::start().await;
    for client in matrix.clients(&json!({})).await {
        let listed = client.list("tools/list", "tools").await;
        for server in Matrix::servers() {
            let at = pair(&client, server);
            let add = listed.iter().find(|it| it["name"] == format!("{server}_add")).expect(&at);
            assert_eq!(add["inputSchema"]["required"], json!(["a", "b"]), "{at}: {add}");
            assert_eq!(add["outputSchema"]["properties"]["total"]["type"], "integer", "{at}: {add}");

            let echoed = client.call(&format!("{server}_echo"), json!({ "text": "grüezi" })).await;
            assert_eq!((echoed.text(), echoed.before.len()), ("grüezi", 0), "{at}: {echoed:#?}");

            let added = client.call(&format!("{server}_add"), json!({ "a": 1, "b": 2 })).await;
            let sum = json!({ "total": 3, "parts": [1, 2] });
            assert_eq!(added.result()["structuredContent"], sum, "{at}: {added:#?}");
            assert_eq!(serde_json::from_str::<Value>(added.text()).unwrap(), sum, "{at}");
            let complete = if client.is_stateless() { json!("complete") } else { Value::Null };
            assert_eq!(added.result()["resultType"], complete, "{at}: {added:#?}");

            let failed = client.call(&format!("{server}_fail"), json!({ "why": "no reason" })).await;
            assert_eq!(failed.result()["isError"], true, "{at}: {failed:#?}");
            assert!(
                failed.text().contains("fail") || failed.text().contains("no reason"),
                "{at}: {failed:#?}"
            );

            let unknown = client.call(&format!("{server}_nothing"), json!({})).await;
            assert_eq!(unknown.answer["error"]["code"], -32602, "{at}: {unknown:#?}");
        }
    }
    matrix.end().await;
}

#[tokio::test]
async fn prompts_resources_templates_and_completions_are_found_by_the_names_that_are_listed() {
    let matrix = Matrix::start().await;
    for client in matrix.clients(&json!({})).await {
        let prompts = client.names("prompts/list", "prompts", "name").await;
        let resources = client.names("resources/list", "resources", "uri").await;
        let templates = client.names("resources/templates/list", "resourceTemplates", "uriTemplate").await;
        for server in Matrix::servers() {
            let at = pair(&client, server);
            let prompt = format!("{server}_greet");
            assert!(prompts.contains(&prompt), "{at}: {prompts:?}");
            let got =
                client.ask("prompts/get", json!({ "name": prompt, "arguments": { "name": "Ada" } })).await;
            assert_eq!(got.result()["messages"][0]["content"]["text"], "Hello Ada", "{at}: {got:#?}");
            let nothing = client.ask("prompts/get", json!({ "name": format!("{server}_nothing") })).await;
            assert_eq!(nothing.answer["error"]["code"], -32602, "{at}: {nothing:#?}");

            let note = format!("dormouse://{server}/note://one");
            assert!(resources.contains(&note), "{at}: {resources:?}");
            let read = client.ask("resources/read", json!({ "uri": note })).await;
            let content = &read.result()["contents"][0];
            assert_eq!(
                (&content["text"], &content["uri"]),
                (&json!("a note"), &json!(note)),
                "{at}: {read:#?}"
            );
            assert_eq!(content["mimeType"], "text/plain", "{at}: {read:#?}");
            let has_ttl = read.result().get("ttlMs").is_some() && read.result().get("cacheScope").is_some();
            assert_eq!(has_ttl, client.is_stateless(), "{at}: {read:#?}");

            let template = format!("dormouse://{server}/note://by/{{day}}");
            assert!(templates.contains(&template), "{at}: {templates:?}");
            let uri = template.replace("{day}", "monday");
            let read = client.ask("resources/read", json!({ "uri": uri })).await;
            let content = &read.result()["contents"][0];
            assert_eq!(
                (&content["text"], &content["uri"]),
                (&json!("a note of monday"), &json!(uri)),
                "{at}"
            );

            for (of, own) in [
                (json!({ "type": "ref/prompt", "name": prompt }), "greet"),
                (json!({ "type": "ref/resource", "uri": template }), "note://by/{day}"),
            ] {
                let params = json!({ "ref": of, "argument": { "name": "x", "value": "Mon" } });
                let completed = client.ask("completion/complete", params).await;
                let completion = &completed.result()["completion"];
                assert_eq!(completion["values"], json!(["Monday", "Monweek", own]), "{at}: {completed:#?}");
                assert_eq!(completion["total"], 3, "{at}: {completed:#?}");
            }
        }
    }
    matrix.end().await;
}

#[tokio::test]
async fn progress_comes_to_who_asked_for_it() {
    let matrix = Matrix::start().await;
    for client in matrix.clients(&json!({})).await {
        for server in Matrix::servers() {
            let at = pair(&client, server);
            let name = format!("{server}_count");
            let silent = client.call(&name, json!({ "to": 3 })).await;
            assert_eq!((silent.text(), silent.before.len()), ("counted to 3", 0), "{at}: {silent:#?}");
            for token in [json!("a token"), json!(77)] {
                let params =
                    json!({ "name": name, "arguments": { "to": 3 }, "_meta": { "progressToken": token } });
                let told = client.ask("tools/call", params).await;
                assert_eq!(told.text(), "counted to 3", "{at}");
                let steps: Vec<Value> = told
                    .of("notifications/progress")
                    .into_iter()
                    .filter(|step| !step["total"].is_null())
                    .cloned()
                    .collect();
                let step = |n: u64| json!({ "progressToken": token, "progress": n, "total": 3, "message": format!("at {n}") });
                assert_eq!(steps, [step(1), step(2), step(3)], "{at}: {told:#?}");
            }
        }
    }
    matrix.end().await;
}

#[tokio::test]
async fn logs_come_from_the_level_on_that_the_client_named() {
    let matrix = Matrix::start().await;
    let levels = |told: &crate::client::Told| -> Vec<String> {
        let logs = told.of("notifications/message");
        assert!(
            logs.iter().all(|it| it["logger"] == "lives" && it["data"]["said"] == it["level"]),
            "{told:#?}"
        );
        logs.iter().map(|it| it["level"].as_str().unwrap().to_owned()).collect()
    };
    for mut client in matrix.clients(&json!({})).await {
        for wanted in ["warning", "debug", "emergency"] {
            if client.is_stateless() {
                client = client.saying("io.modelcontextprotocol/logLevel", json!(wanted));
            } else {
                let set = client.ask("logging/setLevel", json!({ "level": wanted })).await;
                assert_eq!(*set.result(), json!({}));
            }
            let from = LEVELS.iter().position(|level| *level == wanted).unwrap();
            for server in Matrix::servers() {
                let told = client.call(&format!("{server}_chatter"), json!({})).await;
                assert_eq!(
                    levels(&told),
                    LEVELS[from..],
                    "{} from {wanted}: {told:#?}",
                    pair(&client, server)
                );
            }
        }
    }
    let silent = Client::of(&matrix.served, "/mcp", "2026-07-28", json!({})).await;
    for server in Matrix::servers() {
        let told = silent.call(&format!("{server}_chatter"), json!({})).await;
        assert_eq!(told.before.len(), 0, "who names no level has asked for nothing: {told:#?}");
    }
    matrix.end().await;
}

#[tokio::test]
async fn questions_reach_the_client_and_its_answers_the_server() {
    let matrix = Matrix::start().await;
    let roots = json!({ "roots": [{ "uri": "file:///home/ada", "name": "home" }] });
    let thought =
        json!({ "role": "assistant", "model": "tiny", "content": { "type": "text", "text": "a mouse" } });
    for mut client in matrix.clients(&all_capabilities()).await {
        client = client
            .answering("roots/list", roots.clone())
            .answering("sampling/createMessage", thought.clone());
        for (answer, expected) in [
            (
                json!({ "action": "accept", "content": { "colour": "red" } }),
                r#"["accept", {"colour": "red"}]"#,
            ),
            (json!({ "action": "decline" }), r#"["decline", null]"#),
            (json!({ "action": "cancel" }), r#"["cancel", null]"#),
        ] {
            client = client.answering("elicitation/create", answer);
            for server in Matrix::servers() {
                let at = pair(&client, server);
                let told = client.call(&format!("{server}_ask"), json!({})).await;
                assert_eq!((told.text(), told.asked.len()), (expected, 1), "{at}: {told:#?}");
                let params = &told.asked[0]["params"];
                assert_eq!(params["message"], "Which colour?", "{at}");
                assert_eq!(params["requestedSchema"]["required"], json!(["colour"]), "{at}");
            }
        }
        let both = json!({ "action": "accept", "content": { "colour": "red", "size": "xl" } });
        client = client.answering("elicitation/create", both);
        for server in Matrix::servers() {
            let at = pair(&client, server);
            let twice = client.call(&format!("{server}_ask_twice"), json!({})).await;
            let one = r#"["accept", {"colour": "red", "size": "xl"}]"#;
            assert_eq!(
                (twice.text(), twice.asked.len()),
                (format!("{one} + {one}").as_str(), 2),
                "{at}: {twice:#?}"
            );

            let thinking = client.call(&format!("{server}_think"), json!({})).await;
            assert_eq!((thinking.text(), thinking.asked.len()), ("tiny: a mouse", 1), "{at}: {thinking:#?}");
            assert_eq!(thinking.asked[0]["params"]["maxTokens"], 10, "{at}: {thinking:#?}");

            let looking = client.call(&format!("{server}_look"), json!({})).await;
            assert_eq!(
                (looking.text(), looking.asked.len()),
                ("file:///home/ada=home", 1),
                "{at}: {looking:#?}"
            );
        }
    }
    matrix.end().await;
}

#[tokio::test]
async fn a_call_that_waits_for_an_answer_takes_it_from_nobody_else() {
    let matrix = Matrix::start().await;
    let client = Client::of(&matrix.served, "/mcp", "2026-07-28", all_capabilities()).await;
    let ada = Client::of(&matrix.served, "/agents/ada/mcp", "2026-07-28", all_capabilities()).await;
    let ask = async |client: &Client, params: Value| {
        let response = client.request(client.next_id(), "tools/call", params).send().await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    for server in ["one", "two", "fast"] {
        let call = json!({ "name": format!("{server}_ask"), "arguments": {} });
        let asked = ask(&client, call.clone()).await;
        let result = &asked["result"];
        assert_eq!(result["resultType"], "input_required", "{asked}");
        let name = result["inputRequests"].as_object().unwrap().keys().next().unwrap();
        let mut again = call.clone();
        again["requestState"] = result["requestState"].clone();
        again["inputResponses"] = json!({ name: { "action": "decline" } });

        let mut other_tool = again.clone();
        other_tool["name"] = json!(format!("{server}_look"));
        let mut other_state = again.clone();
        other_state["requestState"] = json!(format!("{}x", result["requestState"].as_str().unwrap()));
        for (who, params) in [(&ada, &again), (&client, &other_tool), (&client, &other_state)] {
            let refused = ask(who, params.clone()).await;
            assert_eq!(refused["error"]["code"], -32602, "{refused}");
        }
        let told = ask(&client, again.clone()).await;
        assert_eq!(told["result"]["content"][0]["text"], r#"["decline", null]"#, "{told}");
        let twice = ask(&client, again).await;
        assert_eq!(twice["error"]["data"]["outcome"], "unknown", "{twice}");
    }
    matrix.end().await;
}

#[tokio::test]
async fn a_client_without_the_capability_is_not_asked() {
    let matrix = Matrix::start().await;
    for client in matrix.clients(&json!({})).await {
        for server in Matrix::servers() {
            let at = pair(&client, server);
            for tool in ["ask", "ask_twice", "think", "look"] {
                let told = client.call(&format!("{server}_{tool}"), json!({})).await;
                assert_eq!((told.asked.len(), told.rounds), (0, 0), "{at}: {told:#?}");
                let error = &told.answer["error"];
                // Some fail in their tools; others pass on what they were told, or what they looked up.
                let says = match error["code"].as_i64() {
                    None => told.result()["isError"] == true,
                    Some(code) => [-32021, -32601].contains(&code),
                };
                assert!(says, "{at}: {told:#?}");
            }
        }
    }
    matrix.end().await;
}

#[tokio::test]
async fn what_a_client_takes_back_ends_at_the_server() {
    let matrix = Matrix::start().await;
    for client in matrix.clients(&json!({})).await {
        for server in Matrix::servers() {
            let at = pair(&client, server);
            let mark = matrix.served.space.root().join(format!("{}-{server}", client.mcp.revision));
            let id = client.next_id();
            let params = json!({
                "name": format!("{server}_wait"), "arguments": { "mark": mark }, "_meta": { "progressToken": id },
            });
            let waiting = tokio::spawn(client.request(id, "tools/call", params).send());
            let began = format!("{}.began", mark.display());
            until(&format!("the call runs, {at}"), || std::path::Path::new(&began).exists()).await;
            if client.is_stateless() {
                waiting.abort();
            } else {
                let params = json!({ "requestId": id, "reason": "enough" });
                let cancel =
                    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
                assert_eq!(client.mcp.send(&cancel).await.status(), 202);
                let response = waiting.await.unwrap().unwrap();
                let rest = match response.status().as_u16() {
                    202 => Vec::new(),
                    _ => Events::of(response).rest().await,
                };
                let answered =
                    rest.iter().any(|event| !event.is_priming() && !event.message()["id"].is_null());
                assert!(!answered, "{at}: {rest:?}");
            }
            until(&format!("the server is told, {at}"), || mark.exists()).await;
        }
    }
    matrix.end().await;
}
