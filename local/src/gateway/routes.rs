//! Which function answers a call: an exact path beats a variable, and `$default` takes the rest.

use std::collections::BTreeMap;

use axum::http::Method;
use percent_encoding::percent_decode_str;

use crate::template::{Product, Route};

/// All routes of the product.
pub(super) struct Routes {
    routes: Vec<Pattern>,
    default: Option<String>,
}

/// A route that took a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Matched<'a> {
    pub(super) function: &'a str,
    pub(super) route_key: &'a str,
    pub(super) path_parameters: BTreeMap<String, String>,
}

struct Pattern {
    function: String,
    key: String,
    method: Option<Method>,
    segments: Vec<Segment>,
}

/// The order is the order of preference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Exact(String),
    Variable(String),
    /// The rest of the path.
    Greedy(String),
}

impl Routes {
    pub(super) fn new(product: &Product) -> Routes {
        let mut routes = Routes { routes: Vec::new(), default: None };
        for function in &product.functions {
            for route in &function.routes {
                match route {
                    Route::Default => routes.default = Some(function.name.clone()),
                    Route::Call { method, path } => {
                        routes.routes.push(Pattern::new(&function.name, method, path));
                    }
                }
            }
        }
        // The most specific first, so that the first match is the right one.
        routes.routes.sort_by_key(Pattern::rank);
        routes
    }

    /// The route for a call with this path, as the client sent it.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Matched<'_>> {
        let segments: Vec<String> = path.split('/').skip(1).map(decoded).collect();
        let found = self.routes.iter().find_map(|route| route.matches(method, &segments));
        found.or_else(|| {
            let function = self.default.as_deref()?;
            Some(Matched { function, route_key: "$default", path_parameters: BTreeMap::new() })
        })
    }
}

impl Pattern {
    fn new(function: &str, method: &str, path: &str) -> Pattern {
        let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Segment::Exact(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                None => Segment::Variable(name.to_owned()),
                Some(name) => Segment::Greedy(name.to_owned()),
            },
        };
        Pattern {
            function: function.to_owned(),
            key: format!("{method} {path}"),
            method: Some(method).filter(|method| *method != "ANY").and_then(|method| method.parse().ok()),
            segments: path.split('/').skip(1).map(segment).collect(),
        }
    }

    /// Smaller is more specific: kinds of segments in order, then a method before `ANY`.
    fn rank(&self) -> (Vec<u8>, bool) {
        let kind = |segment: &Segment| match segment {
            Segment::Exact(_) => 0,
            Segment::Variable(_) => 1,
            Segment::Greedy(_) => 2,
        };
        (self.segments.iter().map(kind).collect(), self.method.is_none())
    }

    fn matches(&self, method: &Method, path: &[String]) -> Option<Matched<'_>> {
        if self.method.as_ref().is_some_and(|own| own != method) {
            return None;
        }
        let mut path_parameters = BTreeMap::new();
        let mut rest = path.iter();
        for segment in &self.segments {
            let value = rest.next()?;
            match segment {
                Segment::Exact(text) if text == value => {}
                Segment::Exact(_) => return None,
                Segment::Variable(_) | Segment::Greedy(_) if value.is_empty() => return None,
                Segment::Variable(name) => {
                    path_parameters.insert(name.clone(), value.clone());
                }
                Segment::Greedy(name) => {
                    let all: Vec<&str> =
                        std::iter::once(value).chain(rest.by_ref()).map(String::as_str).collect();
                    path_parameters.insert(name.clone(), all.join("/"));
                }
            }
        }
        let done = rest.next().is_none();
        done.then_some(Matched { function: &self.function, route_key: &self.key, path_parameters })
    }
}

/// A part of a path without percent signs.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let pattern = |function: &str, method: &str, path: &str| Pattern::new(function, method, path);
        let mut routes = vec![
            pattern("any", "ANY", "/payments/{id}"),
            pattern("get", "GET", "/payments/{id}"),
            pattern("get", "GET", "/payments/{id}/"),
            pattern("list", "GET", "/payments"),
            pattern("mine", "GET", "/payments/mine"),
            pattern("state", "GET", "/pay/{code}/state"),
            pattern("files", "GET", "/files/{path+}"),
        ];
        routes.sort_by_key(Pattern::rank);
        Routes { routes, default: Some("rest".into()) }
    }

    fn found(method: &Method, path: &str) -> (String, String) {
        let routes = routes();
        let matched = routes.find(method, path).unwrap();
        let parameters: Vec<_> = matched.path_parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
        (matched.function.to_owned(), parameters.join(","))
    }

    #[test]
    fn the_most_specific_route_wins() {
        let cases = [
            (Method::GET, "/payments", "list", ""),
            (Method::GET, "/payments/mine", "mine", ""),
            (Method::GET, "/payments/abc", "get", "id=abc"),
            (Method::GET, "/payments/abc/", "get", "id=abc"),
            (Method::POST, "/payments/abc", "any", "id=abc"),
            (Method::GET, "/payments/a%20%2Fb", "get", "id=a /b"),
            (Method::GET, "/pay/x/state", "state", "code=x"),
            (Method::GET, "/files/a/b", "files", "path=a/b"),
        ];
        for (method, path, function, parameters) in cases {
            assert_eq!(found(&method, path), (function.to_owned(), parameters.to_owned()), "{path}");
        }
    }

    #[test]
    fn what_no_route_takes_goes_to_the_default() {
        let cases = [
            (Method::POST, "/payments"),
            (Method::GET, "/payments/"),
            (Method::GET, "/"),
            (Method::HEAD, "/payments"),
            (Method::GET, "/pay/x"),
            (Method::GET, "/pay/x/state/y"),
            (Method::GET, "//payments"),
        ];
        for (method, path) in cases {
            assert_eq!(found(&method, path).0, "rest", "{path}");
        }
        let none = Routes { routes: Vec::new(), default: None };
        assert_eq!(none.find(&Method::GET, "/"), None);
    }

    #[test]
    fn the_route_key_is_as_the_template_writes_it() {
        let routes = routes();
        assert_eq!(routes.find(&Method::GET, "/payments/x").unwrap().route_key, "GET /payments/{id}");
        assert_eq!(routes.find(&Method::PUT, "/x").unwrap().route_key, "$default");
    }
}
