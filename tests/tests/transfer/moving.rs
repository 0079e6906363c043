//! MCPStore's files become a space, its agents with their own servers.

use dormouse_testing::Fixture;
use serde_json::{Value, json};

use crate::{Person, outcomes};

/// MCPStore's three files, as its versions write them.
fn files(person: &Person) -> String {
    let entry = Fixture::new().entry();
    let servers = json!({
        "shared": entry, "filesbyada": entry, "x_by_a": entry,
        "notes": { "command": "true", "_mcpstore": { "scopes": { "store": true, "agents": { "ada": true } } } },
    });
    person.keeps(".mcpstore/mcp.json", json!({ "mcpServers": servers }).to_string());
    let agents = json!({ "global_agent_store": ["client_1"], "ada": ["client_2"], "bob": ["client_9"] });
    person.keeps(".mcpstore/defaults/agent_clients.json", agents.to_string());
    let clients = json!({
        "client_1": { "mcpServers": { "shared": entry } },
        "client_2": { "mcpServers": { "files": entry } },
    });
    person.keeps(".mcpstore/defaults/client_services.json", clients.to_string());
    person.home(".mcpstore").to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_owner_of_mcpstore_has_its_servers_again() {
    let person = Person::new();
    files(&person);
    let (code, planned) = person.json(&["config", "import", "mcpstore", "--dry-run"]).await;
    let expected = ["filesbyada added", "notes added", "notes shared", "shared added", "x_by_a added"];
    assert_eq!((code, outcomes(&planned)), (0, expected.map(str::to_owned).to_vec()), "{planned:#}");
    assert!(planned["notes"][0].as_str().unwrap().contains("client_9"), "{planned:#}");
    let (code, done) = person.json(&["config", "import", "mcpstore"]).await;
    assert_eq!((code, &done["entries"]), (0, &planned["entries"]));

    assert_eq!(person.ok(&["tools", "--agent", "ada", "call", "files_echo", "text=hers"]).await, "hers\n");
    let owner =
        |name: &str| done["entries"].as_array().unwrap().iter().find(|e| e["server_name"] == name).unwrap();
    assert_eq!(owner("filesbyada")["owner"], "ada");
    assert_eq!(owner("x_by_a")["owner"], Value::Null, "a name was split");
    let listed = person.ok(&["servers", "--agent", "ada", "list"]).await;
    let mut names: Vec<_> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["files", "notes"]);

    let (code, again) = person.json(&["config", "import", "mcpstore"]).await;
    let is_unchanged = |line: &String| line.ends_with(" unchanged");
    assert!(code == 0 && outcomes(&again).iter().all(is_unchanged), "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_moves_only_what_is_its_own() {
    let person = Person::new();
    let folder = files(&person);
    let import = ["config", "import", "mcpstore", "--file", folder.as_str(), "--agent", "ada"];
    let (code, report) = person.json(&import).await;
    // The store does not have `notes`, so there is nothing that ada could share.
    assert_eq!(
        (code, outcomes(&report)),
        (11, vec!["files added".into(), "notes refused".into()]),
        "{report:#}"
    );
    assert_eq!(person.configured()["mcpServers"].as_object().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_json_of_ours_keeps_its_owners() {
    let person = Person::new();
    let entry = Fixture::new().entry();
    let of = |agent: &str| {
        let mut entry = entry.clone();
        entry["dormouse"] = json!({ "agent": agent, "name": "search", "idle_seconds": 5 });
        entry
    };
    let servers =
        json!({ "search": entry, "searchbyada": of("ada"), "searchbybob": of("bob"), "z": of("no/body") });
    let file = person.keeps("there/mcp.json", json!({ "mcpServers": servers }).to_string());
    let import = ["config", "import", "mcp.json", "--file", file.to_str().unwrap()];
    let (code, report) = person.json(&import).await;
    let expected = ["search added", "searchbyada added", "searchbybob added", "z refused"];
    assert_eq!((code, outcomes(&report)), (11, expected.map(str::to_owned).to_vec()), "{report:#}");
    let ours = &person.configured()["mcpServers"]["searchbyada"]["dormouse"];
    assert_eq!(*ours, json!({ "idle_seconds": 5, "agent": "ada", "name": "search" }));

    let ada = Person::new();
    let file = ada.keeps("mcp.json", text_of(&person));
    let import = ["config", "import", "mcp.json", "--agent", "ada", "--file", file.to_str().unwrap()];
    let (_, report) = ada.json(&import).await;
    let outcomes = outcomes(&report);
    assert!(outcomes.contains(&"searchbybob refused".to_owned()), "{report:#}");
    assert_eq!(outcomes.iter().filter(|line| line.ends_with("added")).count(), 1, "{report:#}");
}

fn text_of(person: &Person) -> String {
    crate::text(&person.space.root().join("mcp.json"))
}
