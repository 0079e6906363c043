//! The command line.

mod connect;
mod many;
mod mcp;
mod offers;
mod sign_in;
mod supervision;
mod tools;
mod transfer;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use dormouse_types::{AgentId, Outcome, ServerState, SessionId, Timestamp};

pub(crate) use connect::Connect;
pub(crate) use many::ManyServers;
pub(crate) use mcp::{Mcp, Mode};
pub(crate) use offers::{
    Agents, AgentsVerb, Config, ConfigVerb, Forgotten, Prompts, PromptsVerb, Resources, ResourcesVerb, Whence,
};
pub(crate) use sign_in::Login;
pub(crate) use tools::ListTools;
pub(crate) use transfer::{ExportServers, ImportServers, Storage, StorageVerb, Whose};

pub(crate) use supervision::{Alerts, AlertsVerb, Events, OneAgent, Stats, SupervisedVerb};

/// A tool hub for AI agents whose tools sleep until they are needed.
///
/// Data goes to standard output, talk to standard error. Every command joins the hub that serves
/// the space; without one it is the hub itself, for as long as it takes.
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Everywhere {
    /// The folder to work in; default: this one if it holds dormouse.toml, else the user's own
    #[arg(long, global = true, value_name = "DIR", env = "DORMOUSE_SPACE", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub(crate) space: Option<PathBuf>,
    /// Where the hub remembers: embedded, memory or redis://ADDRESS
    #[arg(long, global = true, value_name = "WHERE")]
    pub(crate) storage: Option<String>,
    /// Which model chooses tools: auto, none, ollama, ollama:NAME or openai:NAME
    #[arg(long, global = true, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Tell more: -v what happens, -vv every step
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer a question in plain words, with the tools that it needs
    Ask(Ask),
    /// Be the hub of the space, over HTTP, until told to end
    Serve(Serve),
    /// Be an MCP server on standard input and output, for a client that starts its servers itself
    ///
    /// Joins the hub of the space, or starts one in the background that ends some time after its
    /// last client has gone.
    Mcp(Mcp),
    /// Servers: what they are, how they fare, and when they sleep
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Servers(Servers),
    /// Tools: find them and call them
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Tools(Tools),
    /// Resources: what servers offer to read
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Resources(Resources),
    /// Prompts: messages that servers offer
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Prompts(Prompts),
    /// Agents: who has servers of its own, or shares those of the store
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Agents(Agents),
    /// Tokens: who may use the hub over the network
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Token(Token),
    /// Settings of the space
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Config(Config),
    /// Make the hub known to another MCP client: Claude, Cursor, VS Code, Codex
    Connect(Box<Connect>),
    /// Conversations
    #[command(subcommand_required = true, arg_required_else_help = true)]
    History(History),
    /// What the hub remembers: take it elsewhere, and back
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Storage(Storage),
    /// How servers, tools and calls fare, in numbers
    Stats(Stats),
    /// Alerts: what a person should look at
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Alerts(Alerts),
    /// What happened lately, and what happens
    Events(Events),
    /// What is wrong, and what to do about it
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Whose view of the hub: the store's, or an agent's.
#[derive(Debug, Clone, Args)]
pub(crate) struct View {
    /// As this agent, with its servers and those it shares
    #[arg(long, global = true, value_name = "AGENT")]
    pub(crate) agent: Option<AgentId>,
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The question; several words are joined, `-` reads it from standard input
    #[arg(required = true, value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    #[command(flatten)]
    pub(crate) view: View,
    /// The conversation that it belongs to
    #[arg(long, value_name = "SESSION", default_value = "default")]
    pub(crate) session: SessionId,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on; other than loopback only with tokens [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// The port to listen on; 0 takes a free one [default: 18200]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Listen on the space's socket only, and end some time after the last client has gone
    #[arg(long, hide = true, conflicts_with_all = ["host", "port"])]
    pub(crate) background: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Servers {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: ServersVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServersVerb {
    /// List every server, asleep or not
    List,
    /// Show everything about one server
    Show {
        /// The server
        name: String,
    },
    /// Add a script of a drop folder under a name, or a command or URL to mcp.json
    #[command(override_usage = "dormouse servers add NAME SCRIPT.py\n       \
        dormouse servers add NAME [--env VAR=VALUE]... [--cwd DIR] -- COMMAND [ARG]...\n       \
        dormouse servers add NAME --url URL [--header 'NAME: VALUE']... [--oauth]\n       \
        dormouse servers add NAME --entry JSON\n       \
        dormouse servers add --entries JSON | --file FILE")]
    Add(AddServer),
    /// Remove a server; a script that was only dropped sleeps, and stays
    Remove {
        /// The server
        name: String,
        /// Delete its script too
        #[arg(long)]
        file: bool,
    },
    /// Change the entry of a server in mcp.json; a member that is null is taken away
    Update {
        /// The server
        name: String,
        /// The members to change, as JSON; `-` reads them from standard input
        #[arg(long, value_name = "JSON")]
        entry: String,
        /// The JSON is the whole entry, not a change of it
        #[arg(long)]
        replace: bool,
    },
    /// Show the entry of a server in mcp.json, without secrets
    Entry {
        /// The server
        name: String,
    },
    /// Let an agent use a server of the store; both use one process
    Share {
        /// The server
        name: String,
        /// The agent
        #[arg(value_name = "AGENT")]
        with: AgentId,
    },
    /// Take a server of the store away from an agent
    Unshare {
        /// The server
        name: String,
        /// The agent
        #[arg(value_name = "AGENT")]
        with: AgentId,
    },
    /// End its process and start it again
    Restart {
        /// The server
        name: String,
    },
    #[command(flatten)]
    Supervised(SupervisedVerb),
    /// Sign in at a server at a URL, at a browser on the machine where the hub runs
    Login(Login),
    /// Forget the sign-in at a server at a URL
    Logout {
        /// The server
        name: String,
    },
    /// Wake it; it sleeps again after its linger
    Attach {
        /// The server
        name: String,
    },
    /// Put it to sleep; calls that run finish first
    Detach {
        /// The server
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddServer {
    /// Its name: 1 to 100 of A-Z a-z 0-9 _ -
    #[arg(required_unless_present_any = ["entries", "file"])]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) many: ManyServers,
    /// A script in a drop folder
    #[arg(value_name = "SCRIPT.py", value_hint = ValueHint::FilePath, conflicts_with_all = ["entry", "program"])]
    pub(crate) script: Option<PathBuf>,
    /// A whole entry of mcp.json, as JSON; `-` reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with = "program")]
    pub(crate) entry: Option<String>,
    /// Its address, for a server at a URL; /sse in its path means the older transport
    #[arg(long, value_name = "URL", conflicts_with_all = ["script", "entry", "program"])]
    pub(crate) url: Option<String>,
    /// A header of every request to it; ${VAR} is put in when it is sent
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "url")]
    pub(crate) headers: Vec<String>,
    /// A person signs in at it: `servers login`
    #[arg(long, requires = "url")]
    pub(crate) oauth: bool,
    /// A variable of its environment; ${OTHER} is put in when it starts
    #[arg(long = "env", value_name = "VAR=VALUE", requires = "program")]
    pub(crate) env: Vec<String>,
    /// The folder to start it in
    #[arg(long, value_name = "DIR", requires = "program", value_hint = ValueHint::DirPath)]
    pub(crate) cwd: Option<String>,
    /// Its program and arguments, after --
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) program: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: ToolsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolsVerb {
    /// List every tool, asleep or not
    List(ListTools),
    /// Find tools by what they do, best first
    Search {
        /// What is wanted, in plain words
        #[arg(required = true, value_name = "QUERY")]
        query: Vec<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "8")]
        limit: usize,
    },
    /// Show what a tool does and what it takes
    Show(OneTool),
    /// Call a tool and print its result
    Call {
        /// The tool: its full name, or its own where that is unambiguous
        name: String,
        /// Its arguments: name=value, read by the tool's schema; name:=JSON; or one JSON object.
        /// `-` reads the object from standard input
        #[arg(value_name = "ARGUMENT")]
        arguments: Vec<String>,
        /// Its server, where several have such a tool
        #[arg(long, value_name = "SERVER")]
        server: Option<String>,
        /// The whole time that it may take, a wake included, in seconds
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<f64>,
    },
    /// Leave a tool out of this view: it is neither listed nor called
    Disable(OneTool),
    /// Put a tool back into this view
    Enable(OneTool),
    /// Show a tool under another name in this view; without one, under its own again
    Rename {
        #[command(flatten)]
        tool: OneTool,
        /// The name
        #[arg(value_name = "NEW")]
        new: Option<String>,
    },
    /// Describe a tool in other words in this view; without any, in its server's again
    Describe {
        #[command(flatten)]
        tool: OneTool,
        /// The words; `-` reads them from standard input
        #[arg(value_name = "TEXT")]
        text: Option<String>,
    },
    /// List how calls ended, newest first
    Calls {
        /// Of this server
        #[arg(long, value_name = "SERVER")]
        server: Option<String>,
        /// Of tools that their server calls so
        #[arg(long, value_name = "TOOL")]
        tool: Option<String>,
        /// That ended so: ok, tool_error, failed or unknown
        #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
        outcome: Option<Outcome>,
        /// That ended at this moment or later, such as 2026-11-21T18:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "20")]
        limit: usize,
    },
    /// Tell of every tool how often it was called since the hub began, and how that went
    Stats,
}

#[derive(Debug, Args)]
pub(crate) struct OneTool {
    /// The tool: its full name, or its own where that is unambiguous
    pub(crate) name: String,
    /// Its server, where several have such a tool
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it: the only time that it is shown
    Create {
        /// A name for it, to revoke it by
        name: String,
        /// The one agent that it opens; without one it opens everything
        #[arg(long, value_name = "AGENT")]
        agent: Option<AgentId>,
    },
    /// List the tokens, without their secrets
    List,
    /// Let a token open nothing any more
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) view: View,
    #[command(subcommand)]
    pub(crate) verb: HistoryVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HistoryVerb {
    /// Print a conversation, oldest message first
    Show {
        /// The conversation
        #[arg(value_name = "SESSION", default_value = "default")]
        session: SessionId,
    },
    /// Forget a conversation
    Clear {
        /// The conversation
        #[arg(value_name = "SESSION", default_value = "default")]
        session: SessionId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Remove Python environments that no script of this space needs and nobody uses
    #[arg(long)]
    pub(crate) clean: bool,
}

fn state(text: &str) -> Result<ServerState, String> {
    ServerState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let words: Vec<&str> = ServerState::ALL.iter().map(|state| state.as_str()).collect();
        format!("the states are {}", words.join(", "))
    })
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let all = [Outcome::Ok, Outcome::ToolError, Outcome::Failed, Outcome::Unknown];
    all.into_iter().find(|outcome| outcome.as_str() == text).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|outcome| outcome.as_str()).collect();
        format!("the outcomes are {}", words.join(", "))
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    /// A day: what takes longer is a job, not a call.
    const LONGEST: f64 = 86_400.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(seconds),
        _ => Err(format!("a number of seconds above 0 and up to {LONGEST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }

    /// The help of every command, as a person reads it.
    #[test]
    fn every_help_is_as_reviewed() {
        let mut all = String::new();
        write_help(Cli::command().term_width(100), "dormouse", &mut all);
        insta::assert_snapshot!(all);
    }

    fn write_help(mut command: clap::Command, path: &str, all: &mut String) {
        command.build();
        all.push_str(&format!("$ {path} --help\n{}\n", command.render_long_help()));
        let verbs: Vec<clap::Command> =
            command.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
        for verb in verbs {
            let path = format!("{path} {}", verb.get_name());
            write_help(verb.term_width(100), &path, all);
        }
    }

    #[test]
    fn an_agent_may_be_named_before_and_after_the_verb() {
        for line in ["dormouse servers --agent a list", "dormouse servers list --agent a"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Servers(servers) = cli.command else { panic!("{line}") };
            assert_eq!(servers.view.agent.map(|agent| agent.to_string()).as_deref(), Some("a"));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("servers wait x --state asleep", "the states are"),
            ("tools call x --timeout 0", "above 0"),
            ("servers list --agent a/b", "agent id"),
            ("servers add x --env A=b", "required"),
            ("servers update x", "--entry"),
            ("servers share x a/b", "agent id"),
            ("tools calls --outcome good", "the outcomes are"),
            ("servers add", "NAME"),
            ("servers add x --entries []", "cannot be used with"),
            ("servers add --entries [] --file x", "cannot be used with"),
            ("tools calls --since yesterday", "--since"),
            ("ask", "QUERY"),
        ] {
            let error = Cli::try_parse_from(format!("dormouse {line}").split(' ')).unwrap_err();
            assert!(error.to_string().contains(said), "{line}: {error}");
            assert_eq!(error.exit_code(), i32::from(crate::exit::Exit::Usage.code()));
        }
    }
}
