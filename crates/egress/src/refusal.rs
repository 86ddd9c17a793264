//! The verdict on a URL's text: may it be called, and by which way.
//!
//! Owns the static check. It must not resolve names: a name that passes here is judged again by its addresses.

use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

use crate::address::{AddressKind, special};
use crate::policy::Policy;

/// Why a URL may not be called. `Display` is fit for the caller of an API; [`Refusal::reason`] for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Neither `https` nor a plain `http` that the policy allows.
    #[error("URL must use https")]
    Scheme,
    /// The URL carries a user name or a password.
    #[error("URL must not contain user information")]
    UserInfo,
    /// No host, or port 0.
    #[error("URL must name a host")]
    NoHost,
    /// The address, written in the URL or found by resolving its name, is not public.
    #[error("URL must be public")]
    Address(AddressKind),
    /// The name is of a kind that only private networks answer.
    #[error("URL must be public")]
    Name(NameKind),
}

/// Names that do not belong to the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// `localhost` and below (RFC 6761, section 6.3).
    Localhost,
    /// `.local`, multicast DNS (RFC 6762).
    Local,
    /// `.internal`, set aside for private use by ICANN, and `home.arpa` (RFC 8375).
    Internal,
    /// A name without a dot: only a search list would complete it.
    SingleLabel,
}

impl Refusal {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::UserInfo => "user_info",
            Self::NoHost => "no_host",
            Self::Address(kind) => kind.name(),
            Self::Name(NameKind::Localhost) => "localhost",
            Self::Name(NameKind::Local) => "local_name",
            Self::Name(NameKind::Internal) => "internal_name",
            Self::Name(NameKind::SingleLabel) => "single_label",
        }
    }
}

/// By which way an allowed URL is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The name's addresses are filtered when dialling.
    Public,
    /// The operator vouches for host and port: the name's addresses are taken as they come.
    Vouched,
}

/// Judges a URL by its text.
pub(crate) fn judge(url: &Url, policy: &Policy) -> Result<Route, Refusal> {
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(Refusal::Scheme),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::UserInfo);
    }
    let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(Refusal::NoHost)?;
    let standing = match url.host().ok_or(Refusal::NoHost)? {
        Host::Ipv4(address) => address_standing(IpAddr::V4(address), port, policy),
        Host::Ipv6(address) => address_standing(IpAddr::V6(address), port, policy),
        Host::Domain(name) => name_standing(name, port, policy)?,
    };
    match standing {
        Standing::Private(refusal) => Err(refusal),
        Standing::Public if plain => Err(Refusal::Scheme),
        Standing::Public => Ok(Route::Public),
        Standing::Vouched { plain_allowed } if plain && !plain_allowed => Err(Refusal::Scheme),
        Standing::Vouched { .. } => Ok(Route::Vouched),
    }
}

enum Standing {
    Public,
    Vouched { plain_allowed: bool },
    Private(Refusal),
}

fn address_standing(address: IpAddr, port: u16, policy: &Policy) -> Standing {
    let kind = special(address);
    if kind == Some(AddressKind::Loopback) && policy.allow_http_loopback {
        return Standing::Vouched { plain_allowed: true };
    }
    if policy.allowed_targets.iter().any(|target| target.covers_address(address, Some(port))) {
        return Standing::Vouched { plain_allowed: policy.allow_http_targets };
    }
    kind.map_or(Standing::Public, |kind| Standing::Private(Refusal::Address(kind)))
}

fn name_standing(name: &str, port: u16, policy: &Policy) -> Result<Standing, Refusal> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.ends_with('.') {
        return Err(Refusal::NoHost);
    }
    let kind = special_name(name);
    if kind == Some(NameKind::Localhost) && policy.allow_http_loopback {
        return Ok(Standing::Vouched { plain_allowed: true });
    }
    if policy.allowed_targets.iter().any(|target| target.covers_name(name, port)) {
        return Ok(Standing::Vouched { plain_allowed: policy.allow_http_targets });
    }
    // The URL parser has already turned every numeric spelling into an address. Should one slip through, the system's
    // resolver would read it as an address too.
    if name.parse::<Ipv4Addr>().is_ok() {
        return Err(Refusal::Address(AddressKind::Reserved));
    }
    Ok(kind.map_or(Standing::Public, |kind| Standing::Private(Refusal::Name(kind))))
}

/// Which kind of non-public name this is. Lower case, without a dot at the end.
pub(crate) fn special_name(name: &str) -> Option<NameKind> {
    let below = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    if below("localhost") {
        Some(NameKind::Localhost)
    } else if below("local") {
        Some(NameKind::Local)
    } else if below("internal") || below("home.arpa") {
        Some(NameKind::Internal)
    } else if !name.contains('.') {
        Some(NameKind::SingleLabel)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
