//! Variables in values: `${VAR}`, `${VAR:-default}`, `${env:VAR}`.

/// A value needs a variable that is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the variable `{name}` is not set")]
pub struct MissingVariable {
    /// Its name.
    pub name: String,
}

/// Puts variables into a value.
///
/// `${VAR}` and `${env:VAR}` are the variable, `${VAR:-default}` is the default where the
/// variable is unset or empty, as in a shell. `$${` is a plain `${`. What has another form
/// stays as it is.
///
/// ```
/// use dormouse_storage::mcp_json::expand;
/// let lookup = |name: &str| (name == "HOME").then(|| "/home/ann".to_owned());
/// assert_eq!(expand("${HOME}/x", &lookup).as_deref(), Ok("/home/ann/x"));
/// assert_eq!(expand("${PORT:-80}", &lookup).as_deref(), Ok("80"));
/// assert!(expand("${TOKEN}", &lookup).is_err());
/// ```
///
/// # Errors
/// [`MissingVariable`], also for what other clients ask a person for (`${input:token}`): a
/// server shall not start with such a text as its secret.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, MissingVariable> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find("${") {
        let (before, from_dollar) = rest.split_at(dollar);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &from_dollar[2..];
            continue;
        }
        expanded.push_str(before);
        let Some(end) = from_dollar.find('}') else {
            expanded.push_str(from_dollar);
            return Ok(expanded);
        };
        match variable(&from_dollar[2..end], lookup)? {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&from_dollar[..=end]),
        }
        rest = &from_dollar[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// What stands between the braces, expanded; `None` when it is no variable.
fn variable(inner: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, MissingVariable> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let name = name.strip_prefix("env:").unwrap_or(name);
    let missing = || MissingVariable { name: name.to_owned() };
    match name.split_once(':') {
        Some((kind, of)) if is_name(kind) && !of.is_empty() => return Err(missing()),
        _ if !is_name(name) => return Ok(None),
        _ => {}
    }
    let value = match default {
        Some(default) => lookup(name).filter(|value| !value.is_empty()).or(Some(default.to_owned())),
        None => lookup(name),
    };
    value.map(Some).ok_or_else(missing)
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let lookup = |name: &str| match name {
            "HOME" => Some("/home/${ann}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let expected = expected.map(str::to_owned).map_err(|name| MissingVariable { name: name.to_owned() });
        assert_eq!(expand(text, &lookup), expected, "{text}");
    }

    #[test]
    fn variables_are_put_in_once() {
        check("", Ok(""));
        check("$HOME and $ and {}", Ok("$HOME and $ and {}"));
        check("a${HOME}b${env:HOME}", Ok("a/home/${ann}b/home/${ann}"));
        check("${EMPTY}|${EMPTY:-d}|${NONE:-d}|${NONE:-}", Ok("|d|d|"));
        check("ü${NONE:-http://x:1/}ü", Ok("ühttp://x:1/ü"));
    }

    #[test]
    fn missing_variable_is_named() {
        check("${NONE}", Err("NONE"));
        check("${env:NONE}", Err("NONE"));
        check("x ${input:api-key}", Err("input:api-key"));
    }

    #[test]
    fn other_forms_stay() {
        check("${HOME", Ok("${HOME"));
        check("${}${1}${a b}${x%.*}", Ok("${}${1}${a b}${x%.*}"));
        check("$${HOME} $$${HOME}", Ok("${HOME} $${HOME}"));
    }
}
