//! What a server offers: tools, resources, prompts, in MCP's own shapes.
//!
//! These types keep every member that they do not name in `rest`, so that what a server
//! said reaches a client unharmed, whatever revision of MCP it speaks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Json, ToolName};

/// One tool, as `tools/list` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Its own name, unique within its server.
    pub name: ToolName,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, for the model that chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema (draft 2020-12) of its arguments; an object.
    pub input_schema: Json,
    /// JSON Schema of its structured result, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Json>,
    /// Hints such as `readOnlyHint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Json>,
    /// Every other member, as it came (`_meta`, `icons`, `execution`, …).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Tool {
    /// A tool with a name and an input schema, and nothing else.
    pub fn new(name: ToolName, input_schema: impl Into<Json>) -> Self {
        Self {
            name,
            title: None,
            description: None,
            input_schema: input_schema.into(),
            output_schema: None,
            annotations: None,
            rest: Map::new(),
        }
    }

    /// A hint of its annotations, such as `readOnlyHint`; `None` when it is not given.
    pub fn hint(&self, name: &str) -> Option<bool> {
        self.annotations.as_ref()?.value().get(name)?.as_bool()
    }

    /// Whether a call may be made twice without harm, by its own word.
    pub fn may_repeat(&self) -> bool {
        self.hint("readOnlyHint") == Some(true) || self.hint("idempotentHint") == Some(true)
    }
}

/// What a context says about one tool on top of what its server says. Empty is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolSettings {
    /// Whether it is left out of lists and cannot be called here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The name under which it is listed here, in place of its full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ToolName>,
    /// What it does, in place of the server's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl ToolSettings {
    /// Whether they say nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One resource, as `resources/list` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Its address.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A family of resources, as `resources/templates/list` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTemplate {
    /// Its address with holes (RFC 6570).
    pub uri_template: String,
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Every other member, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One prompt, as `prompts/list` gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Every other member, as it came (`arguments`, `title`, …).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Everything that one server offers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Features {
    /// The server's name for itself, a title for people.
    pub title: Option<String>,
    /// The server's instructions for models.
    pub instructions: Option<String>,
    /// Its tools, in its order.
    pub tools: Vec<Tool>,
    /// Its resources, in its order.
    pub resources: Vec<Resource>,
    /// Its resource templates, in its order.
    pub resource_templates: Vec<ResourceTemplate>,
    /// Its prompts, in its order.
    pub prompts: Vec<Prompt>,
    /// What it says of itself (`serverInfo`), whole; `None` until it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_info: Option<Json>,
    /// What it announced that it can do, whole; `None` until it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Json>,
    /// The revision of MCP that it spoke when it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// How the hub knows what a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSource {
    /// Read from its source; it has not run in this version.
    Static,
    /// Told by the running server.
    Live,
    /// Not known yet: it was never contacted.
    Unknown,
}

/// How sure a static reading is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The source says everything.
    #[default]
    Full,
    /// The source leaves something open; each doubt says where and what.
    Partial(Vec<Doubt>),
}

/// One thing that the source cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The line in the script, from 1.
    pub line: usize,
    /// What is open, in words.
    pub reason: String,
}

/// One difference between what the source promised and what the server served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The tool, resource or prompt.
    pub feature: String,
    /// What differs.
    #[serde(flatten)]
    pub kind: DriftKind,
}

/// How the served differs from the promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DriftKind {
    /// Served, but not in the source.
    Added,
    /// In the source, but not served.
    Removed,
    /// Both have it and differ.
    Changed {
        /// Where they differ: a JSON pointer into the feature.
        at: String,
        /// What the source said there; `null` when nothing.
        promised: Value,
        /// What the server said there; `null` when nothing.
        served: Value,
    },
}
