//! The verbs on resources and prompts.

use std::sync::Arc;
use std::time::Duration;

use dormouse_orchestrator::AskError;
use dormouse_registry::{Entry, NoSuchServer};
use dormouse_types::{Arguments, Prompt, Resource, ResourceTemplate};
use serde_json::Value;

use crate::context::Context;

/// Something that a server of this context offers.
#[derive(Debug, Clone)]
pub struct Offered<T> {
    /// The server's name in this context.
    pub server_name: String,
    /// The server.
    pub entry: Arc<Entry>,
    /// What it offers.
    pub item: T,
}

/// Why a resource could not be read, or a prompt not be got.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No server of this context offers it.
    #[error("no server offers the {kind} `{name}`; name its server to ask for it all the same")]
    Unknown {
        /// `resource` or `prompt`.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// Several servers offer it.
    #[error("several servers offer the {kind} `{name}`: say which one ({})", servers.join(", "))]
    Ambiguous {
        /// `resource` or `prompt`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Their names in this context, sorted.
        servers: Vec<String>,
    },
    /// The server named beside it was not found.
    #[error(transparent)]
    UnknownServer(#[from] NoSuchServer),
    /// The server did not give it.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl Context {
    /// Every resource of this context. Answers from memory.
    pub fn resources(&self) -> Vec<Offered<Resource>> {
        self.offered(|entry| &entry.features.resources)
    }

    /// Every family of resources of this context. Answers from memory.
    pub fn resource_templates(&self) -> Vec<Offered<ResourceTemplate>> {
        self.offered(|entry| &entry.features.resource_templates)
    }

    /// Every prompt of this context. Answers from memory.
    pub fn prompts(&self) -> Vec<Offered<Prompt>> {
        self.offered(|entry| &entry.features.prompts)
    }

    /// Reads a resource; the answer is MCP's, untouched. Without a server, the one that lists the
    /// address, or a template that it fits.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn read_resource(
        &self,
        server: Option<&str>,
        uri: &str,
        deadline: Option<Duration>,
    ) -> Result<Value, ReadError> {
        let entry = self.server_of_resource(server, uri)?;
        let read = self.orchestrator().read_resource(&entry.key, uri, deadline).await;
        Ok(read.map_err(|error| self.told_here(&entry.key, error))?)
    }

    /// The server that offers a resource: the one that is named, else the one that lists the
    /// address, or a template that it fits.
    ///
    /// # Errors
    /// [`ReadError`], but for its `Ask`.
    #[expect(clippy::result_large_err, reason = "once a request, and a box would show in the public error")]
    pub fn server_of_resource(&self, server: Option<&str>, uri: &str) -> Result<Arc<Entry>, ReadError> {
        let listed = |entry: &Entry| entry.features.resources.iter().any(|it| it.uri == uri);
        let fits = |entry: &Entry| {
            entry.features.resource_templates.iter().any(|it| template_fits(&it.uri_template, uri))
        };
        match self.offering("resource", uri, server, listed) {
            Err(ReadError::Unknown { .. }) => self.offering("resource", uri, server, fits),
            found => found,
        }
    }

    /// Gets a prompt; the answer is MCP's, untouched. Without a server, the one that lists it.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn prompt(
        &self,
        server: Option<&str>,
        name: &str,
        arguments: &Arguments,
        deadline: Option<Duration>,
    ) -> Result<Value, ReadError> {
        let listed = |entry: &Entry| entry.features.prompts.iter().any(|it| it.name == name);
        let entry = self.offering("prompt", name, server, listed)?;
        let got = self.orchestrator().get_prompt(&entry.key, name, arguments, deadline).await;
        Ok(got.map_err(|error| self.told_here(&entry.key, error))?)
    }

    fn offered<T: Clone>(&self, of: impl Fn(&Entry) -> &Vec<T>) -> Vec<Offered<T>> {
        let catalog = self.registry().snapshot();
        let mut all = Vec::new();
        for entry in catalog.servers(self.scope()) {
            let server_name = self.shown(&entry.key);
            all.extend(of(entry).iter().map(|item| Offered {
                server_name: server_name.clone(),
                entry: entry.clone(),
                item: item.clone(),
            }));
        }
        all
    }

    /// The one server that offers something; the one that is named is believed to.
    #[expect(clippy::result_large_err, reason = "once a request, and a box would show in the public error")]
    fn offering(
        &self,
        kind: &'static str,
        name: &str,
        server: Option<&str>,
        offers: impl Fn(&Entry) -> bool,
    ) -> Result<Arc<Entry>, ReadError> {
        let catalog = self.registry().snapshot();
        if let Some(server) = server {
            return Ok(catalog.find_server(self.scope(), server)?.clone());
        }
        let mut offering: Vec<_> = catalog.servers(self.scope()).filter(|entry| offers(entry)).collect();
        match (offering.pop(), offering.is_empty()) {
            (Some(entry), true) => Ok(entry.clone()),
            (None, _) => Err(ReadError::Unknown { kind, name: name.to_owned() }),
            (Some(last), false) => {
                let mut servers: Vec<_> =
                    offering.iter().chain([&last]).map(|entry| self.shown(&entry.key)).collect();
                servers.sort();
                Err(ReadError::Ambiguous { kind, name: name.to_owned(), servers })
            }
        }
    }
}

/// Whether an address can come from a template (RFC 6570): its fixed parts stand in it in their
/// order, the first at the beginning and the last at the end. The server has the last word.
fn template_fits(template: &str, uri: &str) -> bool {
    let mut fixed = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        fixed.push(before);
        let Some((_, after)) = after.split_once('}') else { return false };
        rest = after;
    }
    let last = rest;
    let Some((first, middle)) = fixed.split_first() else { return template == uri };
    let Some(mut uri) = uri.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = uri.find(part) else { return false };
        uri = &uri[at + part.len()..];
    }
    uri.len() >= last.len() && uri.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::template_fits;

    #[test]
    fn an_address_fits_a_template_by_its_fixed_parts() {
        for (template, uri, fits) in [
            ("greeting://{name}", "greeting://ada", true),
            ("greeting://{name}", "farewell://ada", false),
            ("db://{table}/rows/{id}", "db://users/rows/7", true),
            ("db://{table}/rows/{id}.json", "db://users/rows/7", false),
            ("fixed://one", "fixed://one", true),
            ("fixed://one", "fixed://two", false),
            ("broken://{a", "broken://b", false),
        ] {
            assert_eq!(template_fits(template, uri), fits, "{template} {uri}");
        }
    }
}
