//! What a client takes and sends: `Accept` and `Content-Type`.

use ::http::{HeaderMap, HeaderName, StatusCode, header};

use super::reply::{Refused, invalid};

/// The forms of answers that a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) json: bool,
    pub(super) events: bool,
}

impl Forms {
    /// Reads them. Who says nothing takes everything.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut said = headers.get_all(header::ACCEPT).iter().peekable();
        if said.peek().is_none() {
            return Self { json: true, events: true };
        }
        let mut forms = Self { json: false, events: false };
        for kind in said.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
            if is_excluded(parameters) {
                continue;
            }
            let essence = essence.trim();
            let is = |whole: &str, family: &str| {
                essence == "*/*"
                    || essence.eq_ignore_ascii_case(whole)
                    || essence.eq_ignore_ascii_case(family)
            };
            forms.json |= is("application/json", "application/*");
            forms.events |= is("text/event-stream", "text/*");
        }
        forms
    }
}

/// Whether a weight of zero excludes the kind.
fn is_excluded(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q")
            && weight.trim().parse::<f32>().is_ok_and(|weight| weight == 0.0)
    })
}

/// Lets only JSON through. This also keeps out forms of foreign pages, which browsers send
/// without asking first.
pub(super) fn sends_json(headers: &HeaderMap) -> Result<(), Refused> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the message with `Content-Type: application/json`"))
}

/// The one value of a header; `Err` for several, or for one that is no plain text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("the header {name} is there more than once"));
    }
    let text = value.to_str().map_err(|_| format!("the header {name} holds characters that it may not"))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_from_accept() {
        for (said, json, events) in [
            (&["application/json, text/event-stream"][..], true, true),
            (&["application/json", "text/event-stream;q=0.5"], true, true),
            (&["Application/JSON;charset=utf-8"], true, false),
            (&["text/event-stream"], false, true),
            (&["text/event-stream, application/json;q=0"], false, true),
            (&["text/*"], false, true),
            (&["*/*"], true, true),
            (&["text/html"], false, false),
            (&[""], false, false),
            (&[], true, true),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            assert_eq!(Forms::of(&headers), Forms { json, events }, "{said:?}");
        }
    }
}
