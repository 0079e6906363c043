//! `config`: the settings of the space. What concerns `dormouse.toml` needs no hub, so that it also
//! works when none can start; what concerns servers asks the hub.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dormouse::{Config, MARK};
use serde_json::{Value, json};

use super::{Run, path, text};
use crate::args::{ConfigVerb, Forgotten, View};
use crate::exit::Exit;
use crate::failure::Failure;

/// What stands in place of a secret.
const HIDDEN: &str = "…";

pub(super) async fn run(run: &Run, verb: ConfigVerb) -> Result<Exit, Failure> {
    match verb {
        ConfigVerb::Show => show(run),
        ConfigVerb::Import(asked) => super::transfer::import(run, asked).await,
        ConfigVerb::Export(asked) => super::transfer::export(run, asked).await,
        ConfigVerb::Validate { view } => super::validate::run(run, &view).await,
        ConfigVerb::Init => init(run),
        ConfigVerb::Reset => reset(run),
        ConfigVerb::Supervision { settings } => super::supervision::settings(run, &settings).await,
        ConfigVerb::Servers { view } => servers(run, &view).await,
        ConfigVerb::Forget { view, what } => forget(run, &view, what).await,
    }
}

async fn servers(run: &Run, view: &View) -> Result<Exit, Failure> {
    run.with_hub(async |hub| {
        run.show(hub.get(&path(view, "/config")).await?, |output, document: Value| {
            let pretty = serde_json::to_string_pretty(&document);
            output.text(&pretty.map_err(|error| Failure::of(Exit::Unexpected, &error))?)
        })
    })
    .await
}

async fn forget(run: &Run, view: &View, what: Forgotten) -> Result<Exit, Failure> {
    let Forgotten { agents, shares, tools, conversations } = what;
    let body = json!({"agents": agents, "shares": shares, "tools": tools, "conversations": conversations});
    run.with_hub(async |hub| {
        run.show(hub.post(&path(view, "/config/reset"), &body).await?, |output, gone: Value| {
            let removed = gone["removed"].as_array().map(Vec::as_slice).unwrap_or_default();
            if removed.is_empty() {
                output.talk("no server was added, so none is removed");
            }
            if let Some(forgotten) = gone["conversations"].as_u64().filter(|it| *it > 0) {
                output.talk(&format!("conversations that are forgotten: {forgotten}"));
            }
            let rows = removed
                .iter()
                .map(|server| vec![text(server, "server_name").to_owned(), text(server, "owner").to_owned()]);
            output.table(&["removed", "owner"], rows.collect())
        })
    })
    .await
}

fn show(run: &Run) -> Result<Exit, Failure> {
    let space = run.place.space()?;
    let config = without_secrets(run.place.config(&space)?);
    if run.output.json {
        run.output.value(&config)?;
    } else {
        run.output.text(&format!("# {}\n{}", space.settings().display(), as_toml(&config)?))?;
    }
    Ok(Exit::Ok)
}

/// Variables of servers are secrets as often as not, and so is what stands in a URL before `@`.
fn without_secrets(mut config: Config) -> Config {
    for server in config.servers.values_mut() {
        server.env.values_mut().for_each(|value| HIDDEN.clone_into(value));
    }
    for url in [&mut config.storage, &mut config.models.ollama_url, &mut config.models.openai_url] {
        // A password may hold any sign, also one that should have been encoded, and a scheme be missing.
        if let Some((login, host)) = url.rsplit_once('@') {
            let scheme = login.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
            *url = format!("{}{HIDDEN}@{host}", scheme.unwrap_or_default());
        }
    }
    config
}

fn as_toml(config: &Config) -> Result<String, Failure> {
    toml::to_string(config).map_err(|error| Failure::of(Exit::Unexpected, &error))
}

fn init(run: &Run) -> Result<Exit, Failure> {
    // The current folder, and never the user's own: that one needs no mark.
    let folder = match &run.place.space {
        Some(folder) => folder.clone(),
        None => std::env::current_dir().map_err(|error| {
            Failure::new(Exit::Configuration, "there is no current folder").caused_by(&error)
        })?,
    };
    let settings = folder.join(MARK);
    let drop_folder = folder.join("servers");
    fs::create_dir_all(&drop_folder).map_err(|error| not_written(&drop_folder, &error))?;
    let written = template()?;
    let file = fs::File::create_new(&settings);
    match file.and_then(|mut file| io::Write::write_all(&mut file, written.as_bytes())) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} exists already", settings.display());
            return Err(Failure::new(Exit::Refused, message).hint(
                "`dormouse config show` shows it, `dormouse config reset` puts it back to the defaults",
            ));
        }
        Err(error) => return Err(not_written(&settings, &error)),
    }
    run.output.text(&settings.display().to_string())?;
    run.output.talk(&format!("a space now: scripts in {} are tools", drop_folder.display()));
    Ok(Exit::Ok)
}

fn reset(run: &Run) -> Result<Exit, Failure> {
    let settings = run.place.space()?.settings();
    let mut kept = settings.clone().into_os_string();
    kept.push(".bak");
    let kept = PathBuf::from(kept);
    match fs::rename(&settings, &kept) {
        Ok(()) => run.output.talk(&format!("the settings until now are in {}", kept.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(not_written(&kept, &error)),
    }
    fs::write(&settings, template()?).map_err(|error| not_written(&settings, &error))?;
    run.output.text(&settings.display().to_string())?;
    run.output.talk("a hub that runs keeps its settings until it ends");
    Ok(Exit::Ok)
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Configuration, format!("cannot write {}", path.display())).caused_by(error)
}

/// Every setting with its default, each commented out.
fn template() -> Result<String, Failure> {
    let mut text = String::from(
        "# This file makes the folder a space: the hub that runs here keeps its state in `.dormouse/`,\n\
         # takes scripts from `servers/` and reads `mcp.json` if there is one.\n\
         #\n\
         # Every setting has a default, which is what stands here. Take away the `#` to change one.\n\n",
    );
    for line in as_toml(&Config::default())?.lines() {
        match line {
            "" => text.push('\n'),
            // Nothing to say of single servers yet.
            "[servers]" => text.push_str("# [servers.NAME]\n# wanted = \"on_demand\"\n"),
            line => text.push_str(&format!("# {line}\n")),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MARK);
        fs::write(&path, text).unwrap();
        Config::read(&path, &|_| None).unwrap()
    }

    #[test]
    fn the_first_file_says_the_defaults_with_and_without_its_marks() {
        let template = template().unwrap();
        let defaults = as_toml(&Config::default()).unwrap();
        assert_eq!(as_toml(&read(&template)).unwrap(), defaults);
        let said: Vec<&str> = template.lines().skip(5).map(|line| line.trim_start_matches("# ")).collect();
        let said = said.join("\n").replace("[servers.NAME]\nwanted = \"on_demand\"", "[servers]");
        assert_eq!(as_toml(&read(&said)).unwrap(), defaults);
    }

    #[test]
    fn no_secret_is_shown() {
        let config = read(
            "storage = 'redis://me:s3cret/x@host:1'\n[models]\nopenai_url = 'https://me:s3cret@host/v1'\n[servers.x.env]\nTOKEN = 's3cret'\n",
        );
        let shown = as_toml(&without_secrets(config)).unwrap();
        assert!(
            !shown.contains("s3cret")
                && shown.contains("TOKEN")
                && shown.contains("@host/v1")
                && shown.contains("@host:1"),
            "{shown}"
        );
    }
}
