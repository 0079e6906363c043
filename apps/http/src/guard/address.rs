//! Host and Origin: is it our own page, or a foreign one that talks through a browser?

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri, header};

use crate::problem::{Code, Problem};
use crate::settings::HttpSettings;

pub(super) fn check(request: &Request, bound: SocketAddr, settings: &HttpSettings) -> Result<(), Problem> {
    let Some(host) = host_of(request) else {
        return Err(Problem::new(Code::HostRefused, "the request names no host, or no valid one"));
    };
    if !is_ours(&host, bound.ip(), &settings.allowed_hosts) {
        let detail = format!("the hub is not known as `{host}`; `http.allowed_hosts` names its names");
        return Err(Problem::new(Code::HostRefused, detail));
    }
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !is_same(origin, &host) && !is_allowed(origin, &settings.allowed_origins) {
            let detail =
                "pages of this origin may not call the hub; `http.allowed_origins` names those that may";
            return Err(Problem::new(Code::OriginRefused, detail));
        }
    }
    Ok(())
}

/// The one host that the request names: in its address (HTTP/2) or in its `Host`.
fn host_of(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let text = single(request.headers(), header::HOST)?;
    text.parse().ok().filter(|authority: &Authority| !authority.as_str().contains('@'))
}

fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Addresses in figures cannot be bound to another machine's name, so the bound one is ours, and
/// all are where we listen on every address.
fn is_ours(host: &Authority, bound: IpAddr, names: &[String]) -> bool {
    let name = host.host().trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let by_address = address.is_some_and(|a| a == bound || a.is_loopback() || bound.is_unspecified());
    by_address
        || name == "localhost"
        || name.ends_with(".localhost")
        || names
            .iter()
            .any(|ours| ours.eq_ignore_ascii_case(&name) || ours.eq_ignore_ascii_case(host.as_str()))
}

/// Whether the page comes from the very host that it calls.
fn is_same(origin: &str, host: &Authority) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let (Some(scheme), Some(from)) = (origin.scheme_str(), origin.authority()) else { return false };
    let default = if scheme == "https" { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    from.host().eq_ignore_ascii_case(host.host()) && port(from) == port(host)
}

pub(crate) fn is_allowed(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|ours| ours.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    /// `None` when it passes, else the code.
    fn refused(bound: &str, headers: &[(&str, &str)]) -> Option<Code> {
        let settings = HttpSettings {
            allowed_hosts: vec!["hub.example".into()],
            allowed_origins: vec!["https://chat.example/".into()],
            ..HttpSettings::default()
        };
        let mut request = Request::builder().uri("/tools");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        check(&request, bound.parse().unwrap(), &settings).err().map(|problem| problem.code)
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for host in
            ["localhost:18200", "127.0.0.1:18200", "[::1]:18200", "LOCALHOST", "ui.localhost", "hub.example"]
        {
            assert_eq!(refused("127.0.0.1:18200", &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.168.1.5",
            "a@localhost",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert_eq!(refused("127.0.0.1:18200", &[("host", host)]), Some(Code::HostRefused), "{host}");
        }
        assert_eq!(refused("127.0.0.1:18200", &[]), Some(Code::HostRefused));
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(refused("127.0.0.1:18200", &two), Some(Code::HostRefused));
    }

    #[test]
    fn a_hub_on_every_address_answers_to_addresses_but_not_to_names() {
        assert_eq!(refused("0.0.0.0:18200", &[("host", "192.168.1.5:18200")]), None);
        assert_eq!(refused("0.0.0.0:18200", &[("host", "evil.example:18200")]), Some(Code::HostRefused));
        assert_eq!(refused("192.168.1.5:18200", &[("host", "192.168.1.5:18200")]), None);
    }

    #[test]
    fn only_own_and_named_origins_may_call() {
        let host = ("host", "127.0.0.1:18200");
        for origin in ["http://127.0.0.1:18200", "https://chat.example"] {
            assert_eq!(refused("127.0.0.1:18200", &[host, ("origin", origin)]), None, "{origin}");
        }
        for origin in ["null", "http://127.0.0.1:3000", "http://localhost:18200", "https://evil.example", ""]
        {
            let code = refused("127.0.0.1:18200", &[host, ("origin", origin)]);
            assert_eq!(code, Some(Code::OriginRefused), "{origin}");
        }
    }
}
