//! One spelling of every path: fixed segments in any letter case, `/beta` beside `/v1.0`, doubled and trailing slashes.
//!
//! Ids stay as they are. Source: clients in the field concatenate base addresses by hand and mix letter cases.

use actix_web::dev::ServiceRequest;
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;

/// Segments that the API fixes, in the spelling of our routes.
const FIXED: [&str; 9] = [
    "v1.0",
    "tenants",
    "verifiableCredentials",
    "contracts",
    "manifest",
    "issuanceRequests",
    "issue",
    "createIssuanceRequest",
    "completeIssuance",
];

/// Rewrites the request's path before routing; called by the application's outermost middleware.
pub fn canonical(request: &mut ServiceRequest) {
    let Some(path) = canonical_path(request.path()) else { return };
    let uri = &request.head().uri;
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let Ok(target) = target.parse::<PathAndQuery>() else { return };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// The canonical spelling, or `None` when the path has it already or is none of the API's.
fn canonical_path(path: &str) -> Option<String> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let first = segments.next()?;
    if !first.eq_ignore_ascii_case("v1.0") && !first.eq_ignore_ascii_case("beta") {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    out.push_str("/v1.0");
    for segment in segments {
        out.push('/');
        out.push_str(FIXED.iter().find(|fixed| fixed.eq_ignore_ascii_case(segment)).unwrap_or(&segment));
    }
    (out != path).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_field_become_one() {
        let create = "/v1.0/verifiableCredentials/createIssuanceRequest";
        for path in [
            "/v1.0/verifiablecredentials/createissuancerequest",
            "/beta/VerifiableCredentials/createIssuanceRequest",
            "//v1.0//verifiableCredentials/createIssuanceRequest/",
            "/V1.0/VERIFIABLECREDENTIALS/CREATEISSUANCEREQUEST",
        ] {
            assert_eq!(canonical_path(path).as_deref(), Some(create), "{path}");
        }
        assert_eq!(canonical_path(create), None);
    }

    #[test]
    fn ids_and_other_paths_stay() {
        assert_eq!(
            canonical_path("/beta/tenants/ABC-Def/verifiablecredentials/issue").as_deref(),
            Some("/v1.0/tenants/ABC-Def/verifiableCredentials/issue")
        );
        for path in ["/", "/demo//", "/.well-known/did.json", "/Livez"] {
            assert_eq!(canonical_path(path), None, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_is_idempotent(path in "[/a-zA-Z0-9.%-]{0,80}") {
            let once = canonical_path(&path).unwrap_or_else(|| path.clone());
            proptest::prop_assert_eq!(canonical_path(&once), None);
        }
    }
}
