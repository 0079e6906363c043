//! That nothing that waits is forgotten, and nothing that waits comes through by dereferencing.

use std::collections::BTreeSet;
use std::path::Path;

/// What is there in an async form and a blocking one.
const FORMS: [&str; 4] = ["Context", "Events", "Hub", "Tokens"];

/// The public functions of a source, each with its signature in one line.
fn functions(source: &str) -> Vec<(&str, String)> {
    let starts = source.match_indices("    pub ").map(|(at, _)| &source[at + "    pub ".len()..]);
    let signature = |text: &str| text.split_once('{').map(|(signature, _)| signature.replace('\n', " "));
    starts
        .filter_map(|text| {
            let (_, rest) = text.split_once("fn ").filter(|(before, _)| matches!(*before, "" | "async "))?;
            Some((rest.split(['(', '<']).next()?, signature(text)?))
        })
        .collect()
}

/// Whether a function must have a blocking form: it waits, or what it returns can.
fn waits(signature: &str) -> bool {
    let answer = signature.rsplit_once("->").map(|(_, answer)| answer).unwrap_or_default();
    let mut words = answer.split(|letter: char| !letter.is_alphanumeric());
    signature.starts_with("async ") || words.any(|word| word == "Future" || FORMS.contains(&word))
}

/// The names of a source's functions that must have a blocking form.
fn waiting(source: &str) -> BTreeSet<String> {
    let waiting = functions(source).into_iter().filter(|(_, signature)| waits(signature));
    waiting.map(|(name, _)| name.to_owned()).collect()
}

#[track_caller]
fn assert_blocks(mut waiting: BTreeSet<String>, file: &str, blocking: &str) {
    // Makes one, and needs what only the builder has.
    waiting.remove("open");
    let is_there = |verb: &String| {
        blocking.lines().any(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("pub fn ").unwrap_or(line);
            line.strip_prefix(verb.as_str()).is_some_and(|rest| rest.starts_with('('))
        })
    };
    let missing: Vec<&String> = waiting.iter().filter(|verb| !is_there(verb)).collect();
    assert!(missing.is_empty(), "crates/dormouse/src/blocking/{file} lacks {missing:?}");
}

#[test]
fn every_verb_of_a_context_that_waits_has_its_blocking_form() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../context/src");
    let mut verbs = BTreeSet::new();
    for file in std::fs::read_dir(sources).expect("the sources are there") {
        let source = std::fs::read_to_string(file.expect("a file").path()).expect("a source");
        verbs.extend(waiting(&source));
    }
    assert!(verbs.contains("call") && verbs.contains("events"));
    let blocking = concat!(include_str!("context.rs"), include_str!("events.rs"));
    assert_blocks(verbs, "context.rs", blocking);
}

#[test]
fn every_verb_of_a_hub_that_waits_has_its_blocking_form() {
    let mut verbs = waiting(include_str!("../hub.rs"));
    // Declared beside the file that a storage is written to.
    verbs.extend(waiting(include_str!("../offline.rs")));
    assert!(verbs.contains("rescan") && verbs.contains("for_agent") && verbs.contains("export_storage"));
    // What `Hub::builder` begins to make is the builder's matter.
    let blocking = concat!(include_str!("hub.rs"), include_str!("offline.rs"));
    assert_blocks(verbs, "hub.rs", blocking);
}

#[test]
fn every_verb_of_tokens_that_waits_has_its_blocking_form() {
    let verbs = waiting(include_str!("../token.rs"));
    assert!(verbs.contains("create") && verbs.contains("revoked"));
    assert_blocks(verbs, "token.rs", include_str!("token.rs"));
}
