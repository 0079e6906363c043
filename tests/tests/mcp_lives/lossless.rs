//! What a server says reaches the client whole, also what nobody has heard of; and what the client
//! says reaches the server.

use std::path::PathBuf;

use dormouse::Scope;
use dormouse_testing::python;
use dormouse_tests::mcp_client::STATELESS;
use dormouse_tests::{Served, TestSpace};
use serde_json::{Map, Value, json};

use crate::client::{Client, Web, all_capabilities, script};

fn icon() -> Value {
    json!({ "src": "data:image/png;base64,AAAA", "mimeType": "image/png", "sizes": ["48x48", "any"], "theme": "dark", "x": 1 })
}

/// What both servers say, beside what belongs to their life.
fn says() -> Map<String, Value> {
    let annotations = json!({ "audience": ["user", "assistant"], "priority": 0.25, "lastModified": "2026-01-01T00:00:00Z", "x": [] });
    let tool = json!({
        "name": "odd", "title": "Odd", "description": "Knows what nobody knows.", "icons": [icon()],
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": { "a": { "type": "string", "x-of": { "deep": [1, null] } } },
            "x-schema": true, "$defs": { "D": { "const": 1.5e300 } },
        },
        "outputSchema": { "type": "array", "items": { "type": "integer" }, "x-out": "y" },
        "annotations": { "title": "T", "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true,
            "openWorldHint": false, "xHint": "z" },
        "execution": { "taskSupport": "optional", "x": 1 },
        "_meta": { "com.example/a": { "b": [1, 2.5, null, "é"] } },
        "xTool": { "unknown": [true] },
    });
    let plain = json!({ "name": "plain", "inputSchema": { "type": "object" } });
    let resource = json!({
        "uri": "odd://one", "name": "one", "title": "One", "description": "D", "mimeType": "text/x", "size": 12,
        "icons": [icon()], "annotations": annotations, "_meta": { "m": 1 }, "xResource": { "y": null },
    });
    let template = json!({
        "uriTemplate": "odd://{+path}{?q}", "name": "many", "title": "Many", "mimeType": "text/x",
        "icons": [icon()], "annotations": annotations, "_meta": { "m": 2 }, "xTemplate": [0],
    });
    let prompt = json!({
        "name": "odd prompt", "title": "P", "description": "D", "icons": [icon()], "_meta": { "m": 3 }, "xPrompt": {},
        "arguments": [{ "name": "a", "title": "A", "description": "d", "required": true, "xArgument": 1 }],
    });
    let blocks = json!([
        { "type": "text", "text": "t", "annotations": annotations, "_meta": { "k": 1 }, "xText": 1 },
        { "type": "image", "data": "AAAA", "mimeType": "image/png", "xImage": {} },
        { "type": "audio", "data": "AAAA", "mimeType": "audio/wav", "_meta": {} },
        { "type": "resource_link", "uri": "odd://one", "name": "one", "icons": [icon()], "size": 3, "xLink": 1 },
        { "type": "resource", "resource": { "uri": "odd://one", "text": "x", "_meta": { "r": 1 }, "xIn": 1 }, "xOut": 2 },
        { "type": "hologram", "beams": [{ "angle": 0.5 }], "_meta": { "h": 1 } },
        { "kind": "without a type" },
    ]);
    let result = json!({
        "content": blocks, "structuredContent": [1, 2, { "x": null }], "isError": false,
        "_meta": { "com.example/cost": 12, "nested": { "a": [] } }, "xResult": { "unknown": 1.5 },
    });
    let error = json!({ "code": -32050, "message": "Odd.", "data": { "why": ["x", null], "n": 1 } });
    let read = json!({
        "contents": [
            { "uri": "odd://one", "mimeType": "text/x", "text": "x", "_meta": { "c": 1 }, "xContent": 1 },
            { "uri": "odd://one/part", "blob": "AAAA" },
        ],
        "_meta": { "r": 1 }, "xRead": 1,
    });
    let got = json!({
        "description": "D", "messages": [
            { "role": "user", "content": blocks[0], "xMessage": 1 },
            { "role": "assistant", "content": blocks[5] },
        ], "_meta": { "p": 1 }, "xGot": 1,
    });
    let completed = json!({ "completion": { "values": ["a"], "total": 9, "hasMore": true, "x": 1 }, "_meta": { "c": 1 } });
    let says = json!({
        "tools/list": { "result": { "tools": [plain, tool] } },
        "resources/list": { "result": { "resources": [resource] } },
        "resources/templates/list": { "result": { "resourceTemplates": [template] } },
        "prompts/list": { "result": { "prompts": [prompt] } },
        "tools/call odd": { "result": result, "before": [
            { "method": "notifications/progress", "params": { "progress": 1, "total": 2, "message": "half", "_meta": { "p": { "deep": [1] } }, "xProgress": null } },
            { "method": "notifications/x/unheard", "params": { "of": [1], "_meta": { "n": 1 } } },
            { "method": "notifications/message", "params": { "level": "error", "logger": "l", "data": { "d": [null] }, "_meta": { "l": 1 }, "xLog": [0] } },
        ] },
        "tools/call plain": { "error": error },
        "resources/read": { "result": read },
        "prompts/get": { "result": got },
        "completion/complete": { "result": completed },
        "x/unheard": { "result": { "of": [1, { "a": null }], "_meta": { "u": 1 } } },
    });
    says.as_object().unwrap().clone()
}

/// What a server announces of itself.
fn announced() -> Value {
    json!({
        "capabilities": {
            "tools": { "listChanged": true }, "resources": { "listChanged": true, "xSubscribe": 1 },
            "prompts": { "listChanged": true }, "completions": {}, "logging": {}, "experimental": { "x": { "y": 1 } },
            "extensions": { "com.example/x": { "v": 2 } }, "xCapability": [1],
        },
        "serverInfo": { "name": "raw", "version": "9", "title": "Raw", "websiteUrl": "https://example.com",
            "description": "D", "icons": [icon()], "xInfo": 1 },
        "instructions": "Be odd.",
    })
}

/// A hub with one hand-written server, and what it notes.
struct Raw {
    served: Served,
    notes: PathBuf,
    says: Map<String, Value>,
    _web: Option<Web>,
}

impl Raw {
    async fn start(over_http: bool) -> Self {
        let space = TestSpace::new();
        let mut says = says();
        let mut greeting = announced();
        if over_http {
            greeting["supportedVersions"] = json!([STATELESS]);
            greeting["_meta"] = json!({ "io.modelcontextprotocol/serverInfo": greeting["serverInfo"] });
            says.insert("server/discover".to_owned(), json!({ "result": greeting }));
            for said in says.values_mut().filter_map(|said| said.get_mut("result")) {
                said["resultType"] = json!("complete");
            }
            for cached in [
                "server/discover",
                "tools/list",
                "resources/list",
                "resources/templates/list",
                "prompts/list",
                "resources/read",
            ] {
                says[cached]["result"]["ttlMs"] = json!(1234);
                says[cached]["result"]["cacheScope"] = json!("public");
            }
        } else {
            greeting["protocolVersion"] = json!("2025-11-25");
            says.insert("initialize".to_owned(), json!({ "result": greeting }));
            says.insert("logging/setLevel".to_owned(), json!({ "result": {} }));
        }
        let code = if over_http { -32602 } else { -32002 };
        let gone = json!({ "code": code, "message": "Gone.", "data": { "uri": "odd://gone", "x": [null] } });
        says.insert("resources/read odd://gone".to_owned(), json!({ "error": gone }));
        let wrong = json!({ "code": -32602, "message": "Wrong.", "data": { "x": 1 } });
        says.insert("resources/read odd://wrong".to_owned(), json!({ "error": wrong }));
        let file = space.write("says.json", Value::Object(says.clone()).to_string());
        let notes = space.write("notes.jsonl", "");
        let (file_name, notes_name) = (file.to_str().unwrap(), notes.to_str().unwrap());
        let (entry, web) = if over_http {
            let web = Web::start(python(), "raw.py", &[file_name, notes_name]);
            (json!({ "url": web.url }), Some(web))
        } else {
            let args = json!([script("raw.py"), "stdio", file_name, notes_name]);
            (json!({ "command": python(), "args": args, "dormouse": { "idle_seconds": "never" } }), None)
        };
        space.write("mcp.json", json!({ "mcpServers": { "raw": entry } }).to_string());
        let hub = space.hub(|_| {}).await;
        let served = Served::of(space, hub).await;
        served.knows(&Scope::Store, "raw", "odd").await;
        Self { served, notes, says, _web: web }
    }

    /// What the server was sent of a method, last.
    fn noted(&self, method: &str) -> Value {
        let notes = std::fs::read_to_string(&self.notes).unwrap();
        let mut all = notes.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.find(|it| it["method"] == method).unwrap_or_else(|| panic!("no {method} in {notes}"))
    }

    /// What it lists, as a client of that life should have it: only in 2026-07-28 are results not
    /// always objects.
    fn listed(&self, method: &str, member: &str, client: &Client) -> Vec<Value> {
        let mut entries = self.says[method]["result"][member].as_array().unwrap().clone();
        entries.sort_by_key(|it| it["name"].to_string());
        if !client.is_stateless() {
            for schema in entries.iter_mut().filter_map(|it| it.get_mut("outputSchema")) {
                *schema =
                    json!({ "type": "object", "properties": { "result": schema }, "required": ["result"] });
            }
        }
        entries
    }

    /// What it says, as a client of that life should have it.
    fn said(&self, method: &str, client: &Client) -> Value {
        let mut said = self.says[method]["result"].clone();
        let members = said.as_object_mut().unwrap();
        if client.is_stateless() {
            members.insert("resultType".to_owned(), json!("complete"));
            if method == "resources/read" {
                members.entry("ttlMs").or_insert(json!(0));
                members.entry("cacheScope").or_insert(json!("private"));
            }
        } else {
            for of_stateless in ["resultType", "ttlMs", "cacheScope"] {
                members.shift_remove(of_stateless);
            }
            if let Some(structured) = members.get_mut("structuredContent") {
                *structured = json!({ "result": structured });
            }
        }
        said
    }
}

async fn whole(over_http: bool) {
    let raw = Raw::start(over_http).await;
    for revision in ["2025-11-25", STATELESS] {
        let path = "/mcp?mode=single&server=raw";
        let client = Client::of(&raw.served, path, revision, all_capabilities()).await;
        for (method, member) in [
            ("tools/list", "tools"),
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let expected = raw.listed(method, member, &client);
            assert_eq!(client.list(method, member).await, expected, "{revision} {method}");
        }

        let params = json!({ "name": "odd", "arguments": { "a": "x", "more": [null] }, "_meta": {
            "progressToken": "t", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "com.example/own": { "deep": [1] }, "io.modelcontextprotocol/logLevel": "debug",
        }, "xParam": { "y": 1 } });
        let called = client.ask("tools/call", params.clone()).await;
        assert_eq!(*called.result(), raw.said("tools/call odd", &client), "{revision}");
        let unheard = called.of("notifications/x/unheard");
        assert_eq!(unheard, [&json!({ "of": [1], "_meta": { "n": 1 } })], "{called:#?}");
        assert_eq!(
            called.of("notifications/message"),
            [
                &json!({ "level": "error", "logger": "l", "data": { "d": [null] }, "_meta": { "l": 1 }, "xLog": [0] })
            ]
        );
        let half = json!({ "progressToken": "t", "progress": 1, "total": 2, "message": "half", "_meta": { "p": { "deep": [1] } }, "xProgress": null });
        assert!(called.of("notifications/progress").contains(&&half), "{called:#?}");
        let noted = raw.noted("tools/call")["params"].take();
        assert_eq!(
            (&noted["arguments"], &noted["xParam"]),
            (&params["arguments"], &params["xParam"]),
            "{noted}"
        );
        for name in ["traceparent", "com.example/own"] {
            assert_eq!(noted["_meta"][name], params["_meta"][name], "{noted}");
        }

        let failed = client.call("plain", json!({})).await;
        assert_eq!(failed.answer["error"], raw.says["tools/call plain"]["error"], "{revision}");
        let own = json!({ "own": 1 });
        for (method, params) in [
            ("resources/read", json!({ "uri": "odd://one", "_meta": own, "x": 1 })),
            ("prompts/get", json!({ "name": "odd prompt", "arguments": { "a": "b" }, "_meta": own, "x": 1 })),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "odd prompt", "x": 2 },
                "argument": { "name": "a", "value": "" }, "context": { "arguments": { "b": "c" } }, "_meta": own }),
            ),
            ("x/unheard", json!({ "any": [1], "_meta": own })),
        ] {
            let got = client.ask(method, params.clone()).await;
            assert_eq!(*got.result(), raw.said(method, &client), "{revision} {method}");
            let mut noted = raw.noted(method)["params"].take();
            assert_eq!(noted["_meta"]["own"], 1, "{noted}");
            noted["_meta"] = own.clone();
            assert_eq!(noted, params, "{revision} {method}");
        }
    }
    raw.served.end().await;
}

#[tokio::test]
async fn nothing_is_lost_between_a_client_and_a_server_on_stdio() {
    whole(false).await;
}

#[tokio::test]
async fn nothing_is_lost_between_a_client_and_a_stateless_server_over_http() {
    whole(true).await;
}

#[tokio::test]
async fn one_server_is_announced_as_it_announces_itself() {
    for over_http in [false, true] {
        let raw = Raw::start(over_http).await;
        let path = "/mcp?mode=single&server=raw";
        let client = Client::of(&raw.served, path, STATELESS, json!({})).await;
        let discovered = client.ask("server/discover", json!({})).await;
        let plain = dormouse_tests::mcp_client::Mcp::new(&raw.served, path);
        let greeting = dormouse_tests::mcp_client::greeting("2025-11-25", json!({}));
        let greeted = plain.send(&greeting).await.json::<Value>().await.unwrap();
        for result in [discovered.result(), &greeted["result"]] {
            for (name, expected) in announced().as_object().unwrap() {
                assert_eq!(&result[name], expected, "{name} over http {over_http}: {result:#}");
            }
        }
        raw.served.end().await;
    }
}

#[tokio::test]
async fn what_a_modern_server_hears_of_the_client_is_what_the_client_said() {
    let raw = Raw::start(true).await;
    let path = "/mcp?mode=single&server=raw";
    for revision in ["2025-06-18", STATELESS] {
        let capabilities =
            json!({ "elicitation": { "form": {} }, "extensions": { "com.example/e": { "x": 1 } } });
        let client = Client::of(&raw.served, path, revision, capabilities.clone()).await;
        client.call("odd", json!({})).await;
        let meta = raw.noted("tools/call")["params"]["_meta"].take();
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], STATELESS, "{meta}");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], capabilities, "{meta}");
        assert_eq!(meta["progressToken"], Value::Null, "nobody asked for progress: {meta}");
    }
    raw.served.end().await;
}

#[tokio::test]
async fn beside_other_servers_only_names_and_addresses_differ() {
    let raw = Raw::start(false).await;
    for revision in ["2025-11-25", STATELESS] {
        let client = Client::of(&raw.served, "/mcp", revision, json!({})).await;
        for (method, member, name) in [
            ("tools/list", "tools", "name"),
            ("resources/list", "resources", "uri"),
            ("resources/templates/list", "resourceTemplates", "uriTemplate"),
            ("prompts/list", "prompts", "name"),
        ] {
            let expected = raw.listed(method, member, &client);
            let mut listed = client.list(method, member).await;
            for (it, own) in listed.iter_mut().zip(&expected) {
                let shown = it[name].as_str().unwrap().to_owned();
                match name {
                    "name" => assert!(shown.starts_with("raw_"), "{shown}"),
                    _ => assert_eq!(shown, format!("dormouse://raw/{}", own[name].as_str().unwrap())),
                }
                it[name] = own[name].clone();
            }
            assert_eq!(listed, expected, "{revision} {method}");
        }
        let called = client.call("raw_odd", json!({ "a": "x" })).await;
        assert_eq!(*called.result(), raw.said("tools/call odd", &client), "{revision}");
        let read = client.ask("resources/read", json!({ "uri": "dormouse://raw/odd://one" })).await;
        let mut expected = raw.said("resources/read", &client);
        expected["contents"][0]["uri"] = json!("dormouse://raw/odd://one");
        expected["contents"][1]["uri"] = json!("dormouse://raw/odd://one/part");
        assert_eq!(*read.result(), expected, "{revision}");
    }
    raw.served.end().await;
}

#[tokio::test]
async fn a_resource_that_its_server_does_not_have_has_the_number_of_the_clients_life() {
    for over_http in [false, true] {
        let raw = Raw::start(over_http).await;
        for revision in ["2025-11-25", STATELESS] {
            let client = Client::of(&raw.served, "/mcp", revision, json!({})).await;
            let read = async |uri: &str| {
                let params = json!({ "uri": format!("dormouse://raw/{uri}") });
                client.ask("resources/read", params).await.answer["error"].take()
            };
            let at = format!("{revision}, over http {over_http}");
            let gone = read("odd://gone").await;
            let code = if client.is_stateless() { -32602 } else { -32002 };
            assert_eq!(gone["code"], code, "{at}: {gone}");
            let theirs = &raw.says["resources/read odd://gone"]["error"];
            assert_eq!((&gone["message"], &gone["data"]), (&theirs["message"], &theirs["data"]), "{at}");
            // Whatever else is wrong stays what it is.
            assert_eq!(read("odd://wrong").await, raw.says["resources/read odd://wrong"]["error"], "{at}");
        }
        raw.served.end().await;
    }
}
