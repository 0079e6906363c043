//! The description of the API, as clients read it.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, ObjectBuilder, Required, SecurityRequirement, Type};

/// Where the routes of an agent's context begin.
pub(crate) const AGENT: &str = "/agents/{agent_id}";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dormouse",
        description = "A tool hub for AI agents. Its tools sleep until they are needed.\n\n\
            The routes of a context are there twice: at the root for the store, which sees every server, \
            and under `/agents/{agent_id}` for an agent, which sees its own by its own names.\n\n\
            Errors are problem documents (RFC 9457) with a stable `code`.",
    ),
    tags(
        (name = "query", description = "Questions in plain words"),
        (name = "tools", description = "List, search, show, call"),
        (name = "servers", description = "What has the tools"),
        (name = "supervision", description = "How servers fare, and how closely they are watched"),
        (name = "chat", description = "Conversations"),
        (name = "events", description = "Everything that changes"),
        (name = "mcp", description = "The endpoint for MCP clients"),
        (name = "hub", description = "The hub itself"),
        (name = "tokens", description = "Who may use the hub over the network"),
    ),
)]
struct Described;

pub(crate) fn begun() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// Adds what the routes alone do not say: the agent in the path, tokens, and unique names.
pub(crate) fn finished(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let agent = ParameterBuilder::new()
        .name("agent_id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("1 to 100 of `A-Za-z0-9_-`"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    for (path, item) in &mut api.paths.paths {
        let of_agent = path.starts_with(AGENT);
        if of_agent {
            item.parameters.get_or_insert_default().push(agent.clone().into());
        }
        for operation in operations(item) {
            let tag = operation.tags.as_ref().and_then(|tags| tags.first()).cloned().unwrap_or_default();
            let name = operation.operation_id.take().unwrap_or_default();
            let name = if name == tag { name } else { format!("{tag}_{name}") };
            operation.operation_id = Some(if of_agent { format!("agent_{name}") } else { name });
        }
    }
    let bearer = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("needed once a token exists; on loopback without tokens, none is"))
            .build(),
    );
    let components = api.components.get_or_insert_with(|| ComponentsBuilder::new().build());
    components.add_security_scheme("token", bearer);
    api.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", [""; 0])]);
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}
