//! Token requests as they arrive: a form and perhaps an `Authorization` header.
//!
//! Owns the parsing (RFC 6749, sections 2.3.1 and 4.4.2). It must not know which clients exist.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::error::OAuthError;

/// Longest form, in bytes.
const LONGEST: usize = 16 * 1024;

/// A token request with its client's id and secret, wherever they stood.
#[derive(Clone)]
pub struct TokenRequest {
    /// `grant_type`.
    pub grant_type: String,
    /// From the header, else the form.
    pub client_id: String,
    /// From the header, else the form.
    pub client_secret: Zeroizing<String>,
    /// `scope`.
    pub scope: Option<String>,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRequest")
            .field("grant_type", &self.grant_type)
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    client_assertion: Option<String>,
    scope: Option<String>,
}

impl TokenRequest {
    /// Reads a form (`application/x-www-form-urlencoded`) and the value of an `Authorization` header.
    ///
    /// # Errors
    /// [`OAuthError`]: everything that is wrong before the client is looked up.
    pub fn parse(form: &[u8], authorization: Option<&str>) -> Result<Self, OAuthError> {
        if form.len() > LONGEST {
            return Err(OAuthError::Body);
        }
        let form = Form::parse(form)?;
        let grant_type =
            form.grant_type.filter(|text| !text.is_empty()).ok_or(OAuthError::MissingGrantType)?;
        let (client_id, client_secret) = match authorization {
            Some(header) => {
                let (id, secret) = basic(header)?;
                let same = form.client_id.is_none_or(|other| other == id);
                if form.client_secret.is_some() || form.client_assertion.is_some() || !same {
                    return Err(OAuthError::TwoAuthentications);
                }
                (id, Some(secret))
            }
            None if form.client_assertion.is_some() => return Err(OAuthError::UnsupportedAuthentication),
            None => (form.client_id.unwrap_or_default(), form.client_secret),
        };
        if client_id.is_empty() {
            return Err(OAuthError::MissingClientId);
        }
        let client_secret =
            client_secret.filter(|secret| !secret.is_empty()).ok_or(OAuthError::MissingSecret)?;
        Ok(Self { grant_type, client_id, client_secret, scope: form.scope })
    }
}

impl Form {
    fn parse(bytes: &[u8]) -> Result<Self, OAuthError> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(bytes) {
            let value = value.into_owned();
            let repeated = match name.as_ref() {
                "grant_type" => form.grant_type.replace(value).is_some(),
                "client_id" => form.client_id.replace(value).is_some(),
                "client_secret" => form.client_secret.replace(Zeroizing::new(value)).is_some(),
                "client_assertion" => form.client_assertion.replace(value).is_some(),
                "scope" => form.scope.replace(value).is_some(),
                // MSAL adds `client_info` and others; unknown parameters are ignored (RFC 6749, section 3.2).
                _ => false,
            };
            if repeated {
                return Err(OAuthError::RepeatedParameter);
            }
        }
        Ok(form)
    }
}

/// Id and secret of an HTTP Basic header (RFC 7617), each form-encoded inside (RFC 6749, section 2.3.1).
fn basic(header: &str) -> Result<(String, Zeroizing<String>), OAuthError> {
    let (scheme, encoded) = header.trim().split_once(' ').ok_or(OAuthError::UnsupportedAuthentication)?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > LONGEST {
        return Err(OAuthError::UnsupportedAuthentication);
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_source| OAuthError::UnsupportedAuthentication)?;
    let pair = String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|_source| OAuthError::UnsupportedAuthentication)?;
    let (id, secret) = pair.split_once(':').ok_or(OAuthError::UnsupportedAuthentication)?;
    Ok((form_decoded(id), Zeroizing::new(form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    // As the value of a nameless parameter, so that '=' is an ordinary character; '&' would end it and is taken as is.
    if text.contains('&') {
        return text.to_owned();
    }
    let parameter = Zeroizing::new(format!("={text}"));
    form_urlencoded::parse(parameter.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a_posted_secret_is_read() {
        let form = b"grant_type=client_credentials&client_id=c&client_secret=a%2Bb+c&scope=x%2F.default&client_info=1";
        let request = TokenRequest::parse(form, None).unwrap();
        assert_eq!(request.grant_type, "client_credentials");
        assert_eq!(request.client_id, "c");
        assert_eq!(request.client_secret.as_str(), "a+b c");
        assert_eq!(request.scope.as_deref(), Some("x/.default"));
        assert!(!format!("{request:?}").contains("a+b c"));
    }

    #[test]
    fn a_secret_in_the_header_is_read() {
        for (pair, secret) in [("c:s", "s"), ("c:a%2Bb%3A", "a+b:"), ("c:a:b", "a:b"), ("c:a=b&c", "a=b&c")] {
            let request = TokenRequest::parse(b"grant_type=x", Some(&header(pair))).unwrap();
            assert_eq!((request.client_id.as_str(), request.client_secret.as_str()), ("c", secret), "{pair}");
        }
        let request =
            TokenRequest::parse(b"grant_type=x&client_id=c", Some(&header("c:s").replace("Basic", "bAsIc")));
        assert!(request.is_ok(), "the same id in the form does no harm");
    }

    #[test]
    fn refused_requests() {
        let basic = header("c:s");
        let table: [(&str, Option<&str>, OAuthError); 15] = [
            ("", None, OAuthError::MissingGrantType),
            ("grant_type=&client_id=c&client_secret=s", None, OAuthError::MissingGrantType),
            ("grant_type=x", None, OAuthError::MissingClientId),
            ("grant_type=x&client_id=&client_secret=s", None, OAuthError::MissingClientId),
            ("grant_type=x&client_id=c", None, OAuthError::MissingSecret),
            ("grant_type=x&client_id=c&client_secret=", None, OAuthError::MissingSecret),
            ("grant_type=x&grant_type=x&client_id=c&client_secret=s", None, OAuthError::RepeatedParameter),
            ("grant_type=x&client_id=c&client_secret=s&client_secret=t", None, OAuthError::RepeatedParameter),
            ("grant_type=x&client_id=c&client_assertion=j", None, OAuthError::UnsupportedAuthentication),
            ("grant_type=x&client_secret=s", Some(&basic), OAuthError::TwoAuthentications),
            ("grant_type=x&client_id=d", Some(&basic), OAuthError::TwoAuthentications),
            ("grant_type=x&client_assertion=j", Some(&basic), OAuthError::TwoAuthentications),
            ("grant_type=x", Some("Bearer abc"), OAuthError::UnsupportedAuthentication),
            ("grant_type=x", Some("Basic !!"), OAuthError::UnsupportedAuthentication),
            ("grant_type=x", Some("Basic Yw=="), OAuthError::UnsupportedAuthentication),
        ];
        for (form, authorization, expected) in table {
            assert_eq!(TokenRequest::parse(form.as_bytes(), authorization).unwrap_err(), expected, "{form}");
        }
        let long = format!("grant_type={}", "x".repeat(LONGEST));
        assert_eq!(TokenRequest::parse(long.as_bytes(), None).unwrap_err(), OAuthError::Body);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(form in any::<Vec<u8>>(), authorization in proptest::option::of("\\PC{0,40}")) {
            let request = TokenRequest::parse(&form, authorization.as_deref());
            prop_assert!(request.is_err() || !form.is_empty());
        }

        #[test]
        fn a_form_reads_back(id in "[!-~]{1,20}", secret in "\\PC{1,20}", scope in "\\PC{0,20}") {
            let form = form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("grant_type", "g"), ("client_id", &id), ("client_secret", &secret), ("scope", &scope)])
                .finish();
            let request = TokenRequest::parse(form.as_bytes(), None).unwrap();
            prop_assert_eq!((&request.client_id, request.client_secret.as_str()), (&id, secret.as_str()));
            prop_assert_eq!(request.scope, Some(scope));
        }
    }
}
