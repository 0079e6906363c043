//! The cache file: its version, a checksum, then one record for each script.
//!
//! Records are independent of one another, so that a restart reads them on all cores, and the
//! features in them are bytes until somebody asks for them.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_types::{
    Confidence, Doubt, Features, Prompt, PythonNeeds, Resource, ResourceTemplate, Tool, ToolName,
};

use crate::codec::{Reader, Writer};
use crate::folder::{Entry, Stamp};
use crate::lazy::{Lazy, Written};
use crate::scan::{ScanError, Scanned, Script};
use crate::sdk::Sdk;

/// Changes whenever a scan would find something else in an unchanged file, or the format does.
const VERSION: &[u8] = concat!("dormouse-scan 1 ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// The bytes of a cache file.
pub(crate) fn file<'e>(entries: impl Iterator<Item = (&'e PathBuf, &'e Entry)>) -> Vec<u8> {
    let mut body = Writer::default();
    for (path, entry) in entries {
        body.bytes(&record(path, entry));
    }
    let body = body.into_bytes();
    let mut bytes = VERSION.to_vec();
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Where the records of a cache file are; `None` if it is none, or not whole.
pub(crate) fn records(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let (checksum, body) = bytes.strip_prefix(VERSION)?.split_at_checked(blake3::OUT_LEN)?;
    if blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    let mut reader = Reader::new(body);
    let mut records = Vec::new();
    while !reader.is_empty() {
        let length = reader.bytes()?.len();
        let end = bytes.len() - reader.left();
        records.push(end - length..end);
    }
    Some(records)
}

fn record(path: &Path, entry: &Entry) -> Vec<u8> {
    let mut out = Writer::default();
    write_path(&mut out, path);
    write_stamp(&mut out, &entry.stamp);
    out.list(&entry.watched, |out, (path, stamp)| {
        write_path(out, path);
        write_stamp(out, stamp);
    });
    match &entry.result {
        Err(error) => {
            out.byte(b'e');
            write_error(&mut out, error);
        }
        Ok(scanned) => match &**scanned {
            Scanned::NoServer { reason } => {
                out.byte(b'n');
                out.text(reason);
            }
            Scanned::Server(script) => {
                out.byte(b's');
                write_script(&mut out, script);
            }
        },
    }
    out.into_bytes()
}

/// Reads one record, all but the features.
pub(crate) fn entry(file: &Arc<Vec<u8>>, range: &Range<usize>) -> Option<(PathBuf, Entry)> {
    let mut from = Reader::new(file.get(range.clone())?);
    let path = read_path(&mut from)?;
    let stamp = read_stamp(&mut from)?;
    let watched = from.list(|from| Some((read_path(from)?, read_stamp(from)?)))?;
    let result = match from.byte()? {
        b'e' => Err(read_error(&mut from)?),
        b'n' => Ok(Arc::new(Scanned::NoServer { reason: from.text()? })),
        b's' => Ok(Arc::new(Scanned::Server(read_script(&mut from, file, range.end)?))),
        _ => return None,
    };
    from.is_empty().then_some((path, Entry { stamp, watched, result }))
}

fn write_path(out: &mut Writer, path: &Path) {
    out.bytes(path.as_os_str().as_bytes());
}

fn read_path(from: &mut Reader<'_>) -> Option<PathBuf> {
    from.bytes().map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
}

fn write_stamp(out: &mut Writer, stamp: &Stamp) {
    out.signed(stamp.seconds);
    out.signed(stamp.nanoseconds);
    out.number(stamp.size);
    out.number(stamp.inode);
}

fn read_stamp(from: &mut Reader<'_>) -> Option<Stamp> {
    Some(Stamp {
        seconds: from.signed()?,
        nanoseconds: from.signed()?,
        size: from.number()?,
        inode: from.number()?,
    })
}

fn write_error(out: &mut Writer, error: &ScanError) {
    match error {
        ScanError::Unreadable { reason } => {
            out.byte(0);
            out.text(reason);
        }
        ScanError::TooLarge { bytes } => {
            out.byte(1);
            out.number(*bytes);
        }
        ScanError::NotUtf8 { at } => {
            out.byte(2);
            out.number(*at as u64);
        }
        ScanError::LinkOutside { target } => {
            out.byte(3);
            out.text(target);
        }
        ScanError::NoFile => out.byte(4),
    }
}

fn read_error(from: &mut Reader<'_>) -> Option<ScanError> {
    Some(match from.byte()? {
        0 => ScanError::Unreadable { reason: from.text()? },
        1 => ScanError::TooLarge { bytes: from.number()? },
        2 => ScanError::NotUtf8 { at: usize::try_from(from.number()?).ok()? },
        3 => ScanError::LinkOutside { target: from.text()? },
        4 => ScanError::NoFile,
        _ => return None,
    })
}

/// The SDKs by their numbers in a record.
const SDKS: [Sdk; 5] = [Sdk::Mcp1, Sdk::Mcp2, Sdk::FastMcp2, Sdk::FastMcp3, Sdk::FastMcp4];

fn write_script(out: &mut Writer, script: &Script) {
    out.bytes(&script.features.to_bytes());
    let doubts: &[Doubt] = match &script.confidence {
        Confidence::Full => &[],
        Confidence::Partial(doubts) => doubts,
    };
    out.list(doubts, |out, doubt| {
        out.number(doubt.line as u64);
        out.text(&doubt.reason);
    });
    out.list(&script.needs.requirements, |out, requirement| out.text(requirement));
    out.option(script.needs.requires_python.as_deref(), Writer::text);
    out.option(script.needs.problem.as_deref(), Writer::text);
    out.number(SDKS.iter().position(|sdk| *sdk == script.sdk).unwrap_or_default() as u64);
    out.list(&script.local_modules, |out, path| write_path(out, path));
    out.text(&script.content_hash);
}

/// Reads a script out of a record that ends at `end` in the file.
fn read_script(from: &mut Reader<'_>, file: &Arc<Vec<u8>>, end: usize) -> Option<Script> {
    let length = from.bytes()?.len();
    let start = end - from.left() - length;
    let features = Lazy::written(Written { file: file.clone(), range: start..start + length });
    let doubts =
        from.list(|from| Some(Doubt { line: usize::try_from(from.number()?).ok()?, reason: from.text()? }))?;
    Some(Script {
        features,
        confidence: if doubts.is_empty() { Confidence::Full } else { Confidence::Partial(doubts) },
        needs: PythonNeeds {
            requirements: from.list(Reader::text)?,
            requires_python: from.option(Reader::text)?,
            problem: from.option(Reader::text)?,
        },
        sdk: *SDKS.get(usize::try_from(from.number()?).ok()?)?,
        local_modules: from.list(read_path)?,
        content_hash: from.text()?,
    })
}

/// Features as bytes.
pub(crate) fn features_bytes(features: &Features) -> Vec<u8> {
    let mut out = Writer::default();
    write_features(&mut out, features);
    out.into_bytes()
}

/// Features from bytes.
pub(crate) fn features(bytes: &[u8]) -> Option<Features> {
    let mut from = Reader::new(bytes);
    let features = read_features(&mut from)?;
    from.is_empty().then_some(features)
}

fn write_features(out: &mut Writer, features: &Features) {
    out.option(features.title.as_deref(), Writer::text);
    out.option(features.instructions.as_deref(), Writer::text);
    out.list(&features.tools, |out, tool| {
        out.text(tool.name.as_str());
        out.option(tool.title.as_deref(), Writer::text);
        out.option(tool.description.as_deref(), Writer::text);
        out.value(&tool.input_schema.value());
        out.option(tool.output_schema.as_ref(), |out, schema| out.value(&schema.value()));
        out.option(tool.annotations.as_ref(), |out, hints| out.value(&hints.value()));
        out.map(&tool.rest);
    });
    out.list(&features.resources, |out, resource| {
        out.text(&resource.uri);
        out.text(&resource.name);
        out.option(resource.description.as_deref(), Writer::text);
        out.map(&resource.rest);
    });
    out.list(&features.resource_templates, |out, template| {
        out.text(&template.uri_template);
        out.text(&template.name);
        out.option(template.description.as_deref(), Writer::text);
        out.map(&template.rest);
    });
    out.list(&features.prompts, |out, prompt| {
        out.text(&prompt.name);
        out.option(prompt.description.as_deref(), Writer::text);
        out.map(&prompt.rest);
    });
}

fn read_features(from: &mut Reader<'_>) -> Option<Features> {
    Some(Features {
        title: from.option(Reader::text)?,
        instructions: from.option(Reader::text)?,
        tools: from.list(|from| {
            Some(Tool {
                name: ToolName::try_new(from.str()?).ok()?,
                title: from.option(Reader::text)?,
                description: from.option(Reader::text)?,
                input_schema: from.json()?,
                output_schema: from.option(Reader::json)?,
                annotations: from.option(Reader::json)?,
                rest: from.map()?,
            })
        })?,
        resources: from.list(|from| {
            Some(Resource {
                uri: from.text()?,
                name: from.text()?,
                description: from.option(Reader::text)?,
                rest: from.map()?,
            })
        })?,
        resource_templates: from.list(|from| {
            Some(ResourceTemplate {
                uri_template: from.text()?,
                name: from.text()?,
                description: from.option(Reader::text)?,
                rest: from.map()?,
            })
        })?,
        prompts: from.list(|from| {
            Some(Prompt { name: from.text()?, description: from.option(Reader::text)?, rest: from.map()? })
        })?,
        ..Features::default()
    })
}
