//! Import from and export to other clients; what the hub remembers as a whole.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::named;
use crate::app::App;
use crate::domain::{Client, Import, ProblemKind, ServerName, chain, clients, masked};
use crate::extract::{ApiJson, ApiQuery, Entered};
use crate::problem::{Code, Problem};
use crate::wire::{ExportedServers, ImportBody, ImportedReport, LeftOutItem};

/// Takes servers from another client's configuration, from an `mcp.json` or from MCPStore's files.
///
/// Each entry counts by itself, and the report says what became of it. With `dry_run` it says what
/// would, and nothing is changed. Needs a token for the store.
#[utoipa::path(
    post, path = "/config/import", tag = "configuration", request_body = ImportBody,
    responses((status = 200, body = ImportedReport), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn import(
    Entered { context, access }: Entered,
    ApiJson(body): ApiJson<ImportBody>,
) -> Result<Json<ImportedReport>, Problem> {
    access.to_store("adding commands or URLs")?;
    let (dry_run, on_conflict) = (body.dry_run, body.on_conflict());
    let from = import_of(body)?;
    let report = match dry_run {
        true => context.plan_import(from, on_conflict).await?,
        false => context.import(from, on_conflict).await?,
    };
    Ok(Json(ImportedReport::of(context.scope(), dry_run, report)))
}

fn import_of(body: ImportBody) -> Result<Import, Problem> {
    let wrong = |field: &str, detail: &str| Problem::field(Code::InvalidRequest, field, detail);
    let ImportBody { client, text, document, files, .. } = body;
    match client.as_deref().unwrap_or("mcp.json") {
        "mcpstore" => match (files, text, document) {
            (Some(files), None, None) => Ok(Import::McpStore {
                mcp_json: files.mcp_json,
                agent_clients: files.agent_clients,
                client_services: files.client_services,
            }),
            _ => Err(wrong("files", "MCPStore's servers come from its files, and from nothing beside")),
        },
        "mcp.json" => match (text, document, files) {
            (Some(text), None, None) => Ok(Import::Document(Value::String(text))),
            (None, Some(document), None) => Ok(Import::Document(Value::String(within(&document)))),
            _ => Err(wrong("text", "send `text` or `document`, and one of them only")),
        },
        name => {
            let client = named_client(name)?;
            match (text, document, files) {
                (Some(text), None, None) => Ok(Import::Client { client, text }),
                (None, Some(_), None) if client == Client::Codex => {
                    Err(wrong("document", "what Codex has is TOML: send it as `text`"))
                }
                (None, Some(document), None) => Ok(Import::Client { client, text: within(&document) }),
                _ => Err(wrong("text", "send `text` or `document`, and one of them only")),
            }
        }
    }
}

/// The text of a document, which may be one JSON text in another.
fn within(document: &RawValue) -> String {
    let text = document.get();
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

fn named_client(name: &str) -> Result<Client, Problem> {
    name.parse().map_err(|_| {
        let names: Vec<&str> = Client::ALL.iter().map(|client| client.as_str()).collect();
        let detail =
            format!("no client has this name: {}, mcpstore and mcp.json are known", names.join(", "));
        Problem::field(Code::InvalidRequest, "client", detail)
    })
}

/// What is exported, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportAsked {
    /// In whose form: `claude-desktop`, `claude-code`, `cursor`, `vscode` or `codex`; that of
    /// `mcp.json` where nothing is said.
    client: Option<String>,
    /// These servers only, with commas between them.
    names: Option<String>,
    /// Whether what may be secret is in it, and not `…`. Needs a token for the store.
    #[serde(default)]
    secrets: bool,
}

/// Gives this context's own servers in the form of another client, without what is only ours.
///
/// Values that may be secret are `…`, unless `secrets` is asked for; `${VAR}` stays in both.
#[utoipa::path(
    get, path = "/config/export", tag = "configuration", params(ExportAsked),
    responses((status = 200, body = ExportedServers), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn export(
    Entered { context, access }: Entered,
    ApiQuery(asked): ApiQuery<ExportAsked>,
) -> Result<Json<ExportedServers>, Problem> {
    if asked.secrets {
        access.to_store("reading secrets")?;
    }
    let client = match asked.client.as_deref() {
        None | Some("mcp.json") => None,
        Some(name) => Some(named_client(name)?),
    };
    let names = asked.names.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let names: Vec<ServerName> =
        names.map(|name| named("names", ServerName::try_new(name))).collect::<Result<_, _>>()?;
    let mut export = context.export(&names).await?;
    if !asked.secrets {
        for (_, entry) in &mut export.servers {
            if let Value::Object(shown) = masked(&Value::Object(std::mem::take(entry))) {
                *entry = shown;
            }
        }
    }
    let mut left_out: Vec<LeftOutItem> = export.left_out.iter().cloned().map(LeftOutItem::from).collect();
    let mut notes = Vec::new();
    let text = match client {
        None => serde_json::to_string_pretty(&export.document()).map_err(super::unwritten)?,
        Some(client) => {
            let written = clients::write(client, None, &export.servers)
                .map_err(|error| Problem::new(Code::Internal, chain(&error)))?;
            for problem in written.problems {
                let item = LeftOutItem { server_name: problem.path, reason: problem.message };
                match problem.kind {
                    ProblemKind::Unusable => left_out.push(item),
                    ProblemKind::Ignored => notes.push(item),
                }
            }
            written.text
        }
    };
    let servers: Map<String, Value> =
        export.servers.into_iter().map(|(name, entry)| (name, Value::Object(entry))).collect();
    Ok(Json(ExportedServers {
        client: client.map(|client| client.to_string()),
        text,
        servers,
        left_out,
        notes,
    }))
}

/// Gives everything that the hub remembers, as lines of JSON: conversations, records, hashes of
/// tokens.
#[utoipa::path(
    get, path = "/storage/export", tag = "hub",
    responses((status = 200, body = String, content_type = "application/jsonl"), (status = "default", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn dump(State(app): State<App>) -> Result<Response, Problem> {
    // As a whole, so that a storage that fails is a problem and no answer that was cut off.
    let mut lines = Vec::new();
    app.hub().export_storage(&mut lines).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response())
}
