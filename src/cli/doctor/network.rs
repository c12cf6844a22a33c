//! What is between this machine and the system: local addresses, proxies, and the certificate that is shown to servers.

use super::finding::Found;
use crate::config::Resolved;
use crate::http::{Proxies, Route, Token, Validity, check_addresses};
use jiff::Timestamp;

/// Whether calls can be sent from each of the listed local addresses.
pub(super) fn local_addresses(resolved: &Resolved) -> Vec<Found> {
    let url = resolved.base_url.as_deref().unwrap_or_default();
    let addresses = resolved.egress.iter();
    let found = addresses.map(|address| {
        let checked = check_addresses(&[*address], url);
        let words = |()| format!("calls can be sent from {address}");
        checked.map(words).map_err(|why| why.to_string()).into()
    });
    found.collect()
}

/// Returns which proxy the calls to the API and to the token endpoint use, or why they use none.
pub(super) fn proxies(resolved: &Resolved) -> Vec<Found> {
    let proxies = Proxies::from_environment();
    let unusable = proxies.unusable().map(|name| {
        Found::Odd(format!(
            "{name} names no proxy such as http://proxy:3128 or socks5h://proxy:1080, so it has no effect"
        ))
    });
    let token_url = match &resolved.token {
        Some(Token::OAuth2(oauth2)) => Some(oauth2.token_url.as_str()),
        _ => None,
    };
    let mut hosts = Vec::new();
    let addresses = [resolved.base_url.as_deref(), token_url];
    let routes = addresses.into_iter().flatten().filter_map(|address| {
        let host = host(address);
        let is_bypassed = Some(address) == addresses[0] && !resolved.egress.is_empty();
        let words = match proxies.route(address) {
            Route::Proxy { named_by, .. } if is_bypassed => {
                return Some(Found::Odd(format!(
                    "calls go to the API directly: `egress` is set, so {named_by} is not used"
                )));
            }
            Route::Proxy {
                address, named_by, ..
            } => format!("calls to {host} go through {address} ({named_by})"),
            Route::Direct { why: Some(why) } => {
                format!("calls to {host} go through no proxy: {why}")
            }
            Route::Direct { why: None } => return None,
        };
        let is_new = !hosts.contains(&host);
        hosts.push(host);
        is_new.then_some(Found::Good(words))
    });
    let routes: Vec<_> = routes.collect();
    unusable.chain(routes).collect()
}

/// The host of an address, without its port.
fn host(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.to_owned()
}

/// Whether the certificate of this client can be used, and until when.
pub(super) fn client_certificate(resolved: &Resolved) -> Option<Found> {
    let certificate = resolved.client_certificate.as_ref()?;
    let validity = match certificate.validity() {
        Ok(validity) => validity,
        Err(why) => return Some(Found::Bad(why.to_string())),
    };
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
    let path = certificate.certificate.display();
    Some(judged(&format!("the certificate in {path}"), validity, now))
}

/// Judges a certificate at the time `now`, in seconds since 1970. In the last tenth of its lifetime the result is a
/// warning, so that the certificate is renewed in time.
fn judged(certificate: &str, validity: Validity, now: u64) -> Found {
    let Validity { from, until } = validity;
    if until < now {
        return Found::Bad(format!(
            "{certificate} expired on {}: renew it",
            date(until)
        ));
    }
    if now < from {
        return Found::Bad(format!(
            "{certificate} is not valid before {}; is this machine's clock right?",
            date(from)
        ));
    }
    if until == u64::MAX {
        return Found::Good(format!("{certificate} does not expire"));
    }
    let words = format!("{certificate} is valid until {}", date(until));
    if until - now < (until - from) / 10 {
        Found::Odd(format!("{words}: renew it soon"))
    } else {
        Found::Good(words)
    }
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(String::new, |time| {
        time.strftime("%Y-%m-%d %H:%M UTC").to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_in_last_tenth_of_its_validity_gives_a_warning() {
        let validity = Validity {
            from: 1_000,
            until: 2_000,
        };
        let at = |now| judged("it", validity, now);
        assert!(matches!(at(999), Found::Bad(words) if words.contains("not valid before")));
        assert!(matches!(at(1_900), Found::Good(_)));
        assert!(matches!(at(1_901), Found::Odd(words) if words.contains("1970-01-01 00:33 UTC")));
        assert!(matches!(at(2_000), Found::Odd(_)));
        assert!(matches!(at(2_001), Found::Bad(words) if words.contains("expired on")));
    }

    #[test]
    fn a_host_is_shown_without_its_port() {
        for (address, shown) in [
            ("https://api.example.com", "api.example.com"),
            ("https://api.example.com:8443/v1", "api.example.com"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]"),
            ("https://[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(host(address), shown);
        }
    }
}
