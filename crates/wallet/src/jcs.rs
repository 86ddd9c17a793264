//! JSON canonicalization (RFC 8785) for the values that DIDs are hashed over: objects, arrays, strings, booleans, integers.
//! Needed because the order of a JSON library's object members is not ours to choose.

use serde_json::Value;

/// The canonical text; `None` for a number that is not an integer, which no document hashed here holds.
#[must_use]
pub fn canonical(value: &Value) -> Option<String> {
    let mut out = String::new();
    write(value, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            // RFC 8785 numbers are doubles; integers beyond 2^53 would not survive.
            let number = number.as_i64().filter(|number| number.unsigned_abs() < 1 << 53)?;
            out.push_str(&number.to_string());
        }
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(entries) => {
            out.push('[');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(entry, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            // RFC 8785, section 3.2.3: by UTF-16 code units.
            sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(name));
                out.push(':');
                write(member, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

/// The serializer's escapes are those of RFC 8785, section 3.2.2.2.
fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sorts_by_utf_16_and_escapes_little() {
        // The order of RFC 8785, section 3.2.3: the emoji's surrogates sort below the Hebrew presentation form.
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "b": [true, null, -3], "a": "\u{20ac}$\n\u{f}/\""});
        assert_eq!(
            canonical(&value).unwrap(),
            "{\"a\":\"\u{20ac}$\\n\\u000f/\\\"\",\"b\":[true,null,-3],\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn refuses_numbers_that_do_not_survive() {
        assert_eq!(canonical(&json!(1.5)), None);
        assert_eq!(canonical(&json!([9_007_199_254_740_993_i64])), None);
    }

    proptest! {
        #[test]
        fn reading_it_back_gives_the_same(members in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..8)) {
            let value = json!(members);
            let text = canonical(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
