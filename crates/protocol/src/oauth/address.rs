//! Which addresses the requests of a sign-in may reach.
//!
//! Where to sign in is told by the server itself, and by whom it names. Without a rule it could
//! make the hub ask addresses that only the hub can reach: another service on this machine, a
//! router, the metadata of a cloud. rmcp has the same rule for its own HTTP client, which trusts
//! only the system's certificates and so is not the one used here.
//!
//! * Public addresses: always.
//! * This machine: only for a server that a person configured on this machine.
//! * Private networks: for the server's own host, since a person named it; for others only where
//!   that is allowed, or the server itself is named by a private address.
//! * Link-local (the metadata of clouds), multicast and reserved addresses: never.
//! * Plain HTTP: only on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest_rmcp::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The rule for the sign-in at one server.
#[derive(Debug, Clone)]
pub(super) struct AddressRule {
    /// The server's own host, as a person named it.
    home: String,
    home_literal: Option<IpAddr>,
    home_class: Class,
    private_allowed: bool,
    /// The proxies' hosts: behind a proxy only its own name is resolved here.
    proxies: Arc<[String]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    ThisMachine,
    Private,
    Never,
}

impl AddressRule {
    pub(super) fn new(resource: &Url, private_allowed: bool, proxies: Vec<String>) -> Self {
        let home_literal = literal(resource);
        let home_class = match home_literal {
            Some(address) => Class::of(address),
            None if is_local_name(resource) => Class::ThisMachine,
            None => Class::Public,
        };
        Self {
            home: plain(resource.host_str().unwrap_or_default()),
            home_literal,
            home_class,
            private_allowed,
            proxies: proxies.iter().map(|host| plain(host)).collect(),
        }
    }

    /// Why a request to this URL is not made; `None` if it may be.
    pub(super) fn objection(&self, url: &Url) -> Option<&'static str> {
        let address = literal(url);
        let local = is_local_name(url) || address.is_some_and(|it| Class::of(it) == Class::ThisMachine);
        match url.scheme() {
            "https" => {}
            "http" if local => {}
            "http" => return Some("it is not encrypted"),
            _ => return Some("it is no web address"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Some("it holds a password");
        }
        if local && self.home_class != Class::ThisMachine {
            return Some("it leads to this machine");
        }
        let own = address.is_some() && address == self.home_literal;
        let allowed = address.is_none_or(|address| own || self.allows(&plain_address(address), address));
        (!allowed).then_some("it leads into a private network")
    }

    fn allows(&self, host: &str, address: IpAddr) -> bool {
        match Class::of(address) {
            Class::Public => true,
            Class::ThisMachine => self.home_class == Class::ThisMachine,
            Class::Private => self.private_allowed || self.home_class == Class::Private || host == self.home,
            Class::Never => false,
        }
    }
}

/// Resolves names and leaves out the addresses that the rule forbids, so that no name leads where
/// an address may not.
impl Resolve for AddressRule {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.clone();
        Box::pin(async move {
            let host = plain(name.as_str());
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if rule.proxies.contains(&host) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| rule.allows(&host, address.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::new(Forbidden) as _);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name has only addresses that a sign-in may not reach.
#[derive(Debug, thiserror::Error)]
#[error("its name leads into a private network or to this machine")]
pub(super) struct Forbidden;

impl Class {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(inner) => Self::of_v4(inner),
                None => Self::of_v6(address),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, ..] = address.octets();
        if address.is_loopback() {
            Self::ThisMachine
        } else if address.is_private() || (a == 100 && (64..128).contains(&b)) {
            Self::Private
        } else if a == 0
            || address.is_link_local()
            || address.is_multicast()
            || a >= 240
            || (a == 198 && matches!(b, 18 | 19))
        {
            Self::Never
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [a, b, c, ..] = address.segments();
        if address.is_loopback() {
            Self::ThisMachine
        } else if a & 0xfe00 == 0xfc00 {
            Self::Private
        } else if address.is_unspecified()
            || address.is_multicast()
            || a & 0xffc0 == 0xfe80
            // Teredo and local NAT64 hide an IPv4 address that we do not look for.
            || (a, b) == (0x2001, 0)
            || (a, b, c) == (0x64, 0xff9b, 1)
        {
            Self::Never
        } else {
            Self::Public
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        [0, 0, 0, 0, 0, 0] if !address.is_loopback() && !address.is_unspecified() => Some(v4(g, h)),
        [0x2002, ..] => Some(v4(b, c)),
        _ => None,
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn is_local_name(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Domain(name)) if {
        let name = plain(name);
        name == "localhost" || name.ends_with(".localhost")
    })
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn plain_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn rule(resource: &str) -> AddressRule {
        AddressRule::new(&url(resource), false, Vec::new())
    }

    #[test]
    fn a_public_server_cannot_send_the_hub_inside() {
        let rule = rule("https://mcp.example.com/mcp");
        for inside in [
            "https://127.0.0.1/token",
            "https://localhost/token",
            "https://auth.localhost./token",
            "https://[::1]/token",
            "https://[::ffff:127.0.0.1]/token",
            "https://10.0.0.9/token",
            "https://100.64.0.1/token",
            "https://[fd00::1]/token",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/token",
            "https://[64:ff9b::a9fe:a9fe]/token",
            "https://[2002:7f00:1::]/token",
            "https://0.0.0.0/token",
            "http://auth.example.com/token",
            "http://localhost/token",
            "ftp://auth.example.com/token",
            "https://me:secret@auth.example.com/token",
        ] {
            assert!(rule.objection(&url(inside)).is_some(), "{inside}");
        }
        for fine in ["https://auth.example.com/token", "https://93.184.216.34/", "https://[2606:4700::1111]/"]
        {
            assert_eq!(rule.objection(&url(fine)), None, "{fine}");
        }
    }

    #[test]
    fn a_server_on_this_machine_may_name_others_on_it() {
        for home in ["http://127.0.0.1:8000/mcp", "http://localhost:8000/mcp", "http://[::1]:8000/mcp"] {
            let rule = rule(home);
            for fine in ["http://127.0.0.1:9000/token", "http://localhost/token", "https://auth.example.com/"]
            {
                assert_eq!(rule.objection(&url(fine)), None, "{home} {fine}");
            }
            for not in ["http://10.0.0.9/token", "https://10.0.0.9/token", "http://auth.example.com/token"] {
                assert!(rule.objection(&url(not)).is_some(), "{home} {not}");
            }
        }
    }

    #[test]
    fn a_private_server_may_name_private_others_over_tls() {
        let rule = rule("https://10.0.0.5/mcp");
        assert_eq!(rule.objection(&url("https://10.0.0.9/token")), None);
        assert!(rule.objection(&url("http://10.0.0.9/token")).is_some());
        assert!(rule.objection(&url("https://127.0.0.1/token")).is_some());
        let told = AddressRule::new(&url("https://mcp.example.com/"), true, Vec::new());
        assert_eq!(told.objection(&url("https://10.0.0.9/token")), None);
        assert!(told.objection(&url("https://169.254.169.254/")).is_some());
    }

    #[test]
    fn a_name_is_held_to_the_rule_by_its_addresses() {
        let rule = rule("https://mcp.example.com/");
        let private: IpAddr = [10, 0, 0, 9].into();
        assert!(rule.allows("mcp.example.com", private), "the host that a person named");
        assert!(!rule.allows("auth.example.com", private));
        assert!(!rule.allows("mcp.example.com", [127, 0, 0, 1].into()));
        assert!(!rule.allows("mcp.example.com", [169, 254, 169, 254].into()));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_resolved_for_others() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(rule("https://mcp.example.com/").resolve(name()).await.is_err());
        assert!(rule("http://127.0.0.1/").resolve(name()).await.is_ok());
    }
}
