//! Judges that are not ours: libraries of other people read what the running product publishes and signs, and a client library
//! of another company gets its tokens.

mod did_document;
mod issued;
mod json_web_token;
mod msal;
mod python;
mod ssi;
