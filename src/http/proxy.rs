//! Which proxy the calls to a host use, and why, for `doctor`. The HTTP client's own code decides, so its rules apply.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::http_client::is_loopback;

/// The variables that name proxies; in each pair the first spelling has priority.
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// How calls reach a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Through a proxy.
    Proxy {
        /// Its address, without user and password.
        address: String,
        /// Where it is set: in a variable, or in the settings of the operating system.
        named_by: &'static str,
        /// Whether the proxy resolves the host's name.
        resolves: bool,
    },
    /// Directly.
    Direct {
        /// The reason, if a proxy is set but not used.
        why: Option<String>,
    },
}

/// The proxies of this process.
#[derive(Debug)]
pub struct Proxies {
    matcher: Matcher,
    all: Option<(&'static str, String)>,
    https: Option<(&'static str, String)>,
    http: Option<(&'static str, String)>,
    no: Option<(&'static str, String)>,
}

impl Proxies {
    /// Reads the proxies as the HTTP client does: from the environment, or from the operating system.
    pub fn from_environment() -> Self {
        Self::of(Matcher::from_system(), |name| std::env::var(name).ok())
    }

    fn of(matcher: Matcher, variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            let mut set = names
                .into_iter()
                .filter_map(|name| Some((name, variable(name)?)));
            set.next().filter(|(_, value)| !value.trim().is_empty())
        };
        Self {
            matcher,
            all: first(ALL),
            https: first(HTTPS),
            http: first(HTTP),
            no: first(NO),
        }
    }

    /// Returns how calls reach this address.
    pub fn route(&self, address: &str) -> Route {
        let direct = |why: String| Route::Direct { why: Some(why) };
        let (Ok(url), Ok(uri)) = (Url::parse(address), address.parse::<Uri>()) else {
            return Route::Direct { why: None };
        };
        let specific = match url.scheme() {
            "http" => &self.http,
            _ => &self.https,
        };
        let usable = |named: &&(&'static str, String)| is_proxy(&named.1);
        let named = specific.as_ref().filter(usable);
        let named = named.or(self.all.as_ref().filter(usable));
        if is_loopback(&url) {
            return match named {
                Some(_) => direct("calls to this machine never go through a proxy".to_owned()),
                None => Route::Direct { why: None },
            };
        }
        if let Some(proxy) = self.matcher.intercept(&uri) {
            let scheme = proxy.uri().scheme_str().unwrap_or("http");
            let authority = proxy.uri().authority();
            return Route::Proxy {
                address: format!("{scheme}://{}", authority.map_or("", |host| host.as_str())),
                named_by: named.map_or("the operating system's settings", |(name, _)| name),
                resolves: !matches!(scheme, "socks4" | "socks5"),
            };
        }
        match (named, &self.no) {
            (Some(_), Some((variable, list))) => direct(match entry(list, &uri) {
                Some(entry) => format!("{variable} names it ({entry})"),
                None => format!("{variable} names it"),
            }),
            (Some((name, _)), None) => direct(format!("{name} has no effect in a CGI environment")),
            (None, _) => match (&self.http, &self.https) {
                (Some((name, _)), None) | (None, Some((name, _))) if specific.is_none() => {
                    direct(format!("{name} does not apply to {}:", url.scheme()))
                }
                _ => Route::Direct { why: None },
            },
        }
    }

    /// Returns the variables that should name a proxy and do not, so that they have no effect.
    pub fn unusable(&self) -> impl Iterator<Item = &'static str> {
        let named = [&self.https, &self.http, &self.all].into_iter().flatten();
        named
            .filter(|(_, value)| !is_proxy(value))
            .map(|(name, _)| *name)
    }
}

fn is_proxy(value: &str) -> bool {
    let anywhere = Uri::from_static("http://host.example");
    let matcher = Matcher::builder().http(value).build();
    matcher.intercept(&anywhere).is_some()
}

/// Returns the entry of a list like `NO_PROXY` that matches this address.
fn entry<'a>(list: &'a str, uri: &Uri) -> Option<&'a str> {
    let excludes = |entry: &&str| {
        let matcher = Matcher::builder().all("http://proxy.example").no(*entry);
        !entry.is_empty() && matcher.build().intercept(uri).is_none()
    };
    list.split(',').map(str::trim).find(excludes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let first = |names: [&str; 2]| names.into_iter().find_map(get).unwrap_or_default();
        let matcher = Matcher::builder()
            .all(first(ALL))
            .https(first(HTTPS))
            .http(first(HTTP))
            .no(first(NO));
        Proxies::of(matcher.build(), get)
    }

    fn through(address: &str, named_by: &'static str, resolves: bool) -> Route {
        Route::Proxy {
            address: address.to_owned(),
            named_by,
            resolves,
        }
    }

    fn directly(why: &str) -> Route {
        let why = (!why.is_empty()).then(|| why.to_owned());
        Route::Direct { why }
    }

    #[test]
    fn scheme_specific_variable_takes_precedence_over_all_proxy() {
        let set = proxies(&[
            ("ALL_PROXY", "socks5h://u:p@all.example:1080"),
            ("https_proxy", "http://user:secret@web.example:3128"),
        ]);
        let https = set.route("https://api.example.com/x");
        assert_eq!(
            https,
            through("http://web.example:3128", "https_proxy", true)
        );
        let http = set.route("http://api.example.com");
        assert_eq!(
            http,
            through("socks5h://all.example:1080", "ALL_PROXY", true)
        );
        let local = proxies(&[("ALL_PROXY", "socks5://all.example:1080")]);
        let route = local.route("https://api.example.com");
        assert_eq!(
            route,
            through("socks5://all.example:1080", "ALL_PROXY", false)
        );
    }

    #[test]
    fn the_reason_for_a_direct_call_is_given() {
        let set = proxies(&[
            ("HTTPS_PROXY", "http://web.example:3128"),
            ("NO_PROXY", "localhost, .corp.example,10.0.0.0/8"),
        ]);
        for (address, why) in [
            (
                "https://api.corp.example",
                "NO_PROXY names it (.corp.example)",
            ),
            ("https://10.1.2.3:8443/v1", "NO_PROXY names it (10.0.0.0/8)"),
            (
                "https://127.0.0.1:1",
                "calls to this machine never go through a proxy",
            ),
            (
                "http://api.example.com",
                "HTTPS_PROXY does not apply to http:",
            ),
        ] {
            assert_eq!(set.route(address), directly(why), "{address}");
        }
        assert_eq!(proxies(&[]).route("https://api.example.com"), directly(""));
        assert_eq!(proxies(&[]).route("https://127.0.0.1"), directly(""));
    }

    #[test]
    fn variable_without_a_valid_proxy_is_reported_as_unusable() {
        let set = proxies(&[
            ("HTTPS_PROXY", "ftp://web.example"),
            ("ALL_PROXY", "socks5h://all.example:1080"),
        ]);
        assert_eq!(set.unusable().collect::<Vec<_>>(), ["HTTPS_PROXY"]);
        let route = set.route("https://api.example.com");
        assert_eq!(
            route,
            through("socks5h://all.example:1080", "ALL_PROXY", true)
        );
        assert_eq!(proxies(&[("ALL_PROXY", "")]).unusable().count(), 0);
    }
}
