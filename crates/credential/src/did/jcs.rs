//! JSON Canonicalization Scheme (RFC 8785), as far as DID documents need it.
//!
//! Owns the canonical bytes that did:ion hashes. Fractions and numbers beyond 2^53 are refused instead of
//! formatted: no DID document has them, and their spelling is where implementations differ.

use serde_json::{Map, Value};

/// Largest integer that every JSON reader keeps exactly (RFC 8785, section 3.2.2.3 with IEEE 754 doubles).
const LARGEST_EXACT: u64 = 1 << 53;

/// The canonical bytes, or nothing if the value has a number that is not an exact integer.
pub(super) fn canonical(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    write_value(value, &mut out)?;
    Some(out)
}

fn write_value(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) => {
            let magnitude = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64())?;
            if magnitude > LARGEST_EXACT {
                return None;
            }
            out.extend(number.to_string().bytes());
        }
        Value::String(text) => write_text(text, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(members, out)?,
    }
    Some(())
}

fn write_object(members: &Map<String, Value>, out: &mut Vec<u8>) -> Option<()> {
    let mut sorted: Vec<_> = members.iter().collect();
    // RFC 8785, section 3.2.3: by UTF-16 code units, which differs from UTF-8 order above U+FFFF.
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push(b'{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out)?;
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Some(())
}

/// serde_json escapes exactly what RFC 8785, section 3.2.2.2 asks for.
fn write_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(out, text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(json: &str) -> String {
        String::from_utf8(canonical(&serde_json::from_str(json).unwrap()).unwrap()).unwrap()
    }

    /// The order of RFC 8785, section 3.2.3, with its sample names.
    #[test]
    fn members_are_sorted_by_utf16() {
        let input = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            text(input),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    /// The text sample of RFC 8785, section 3.2.2.2.
    #[test]
    fn only_the_needed_escapes_are_written() {
        let input = r#"{"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#;
        assert_eq!(text(input), "{\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    }

    #[test]
    fn literals_and_nesting() {
        assert_eq!(
            text(r#"{ "b": [ null, true, false, -7, [] , {} ], "a": "x" }"#),
            r#"{"a":"x","b":[null,true,false,-7,[],{}]}"#
        );
    }

    #[test]
    fn inexact_numbers_are_refused() {
        for value in [json!(0.5), json!(1e30), json!([LARGEST_EXACT + 1]), json!({"a": i64::MIN})] {
            assert_eq!(canonical(&value), None, "{value}");
        }
        assert!(canonical(&json!([LARGEST_EXACT, -9_007_199_254_740_992_i64])).is_some());
    }

    proptest! {
        #[test]
        fn canonical_bytes_mean_the_same(members in proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..6)) {
            let value = json!(members);
            let bytes = canonical(&value).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
    }
}
