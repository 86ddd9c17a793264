//! The vault's audit log: reading the blobs that the simulator writes. Owns the form of a row, as the real service delivers
//! it to a storage account; judges nothing.

use std::path::Path;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::window::Ticks;

/// One attempt at the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When it arrived there.
    pub at: Ticks,
    /// `KeySign`, `KeyGet`, …
    pub operation: String,
    pub status: u16,
    /// The intent and the attempt's number, from the User-Agent.
    pub attempt: Option<(String, u32)>,
}

impl Row {
    /// Refused by a limit.
    pub fn is_refusal(&self) -> bool {
        self.status == 429
    }

    /// Counts under the limit of operations: keys that are made have a limit of their own, and who is not let in is not counted.
    pub fn is_operation(&self) -> bool {
        !self.is_refusal() && self.operation != "KeyCreate" && self.operation != "Authentication"
    }

    /// A signature.
    pub fn is_signature(&self) -> bool {
        self.operation == "KeySign" && self.status == 200
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    time: String,
    operation_name: String,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    http_status_code: u16,
    #[serde(default)]
    client_info: String,
}

/// One line of the log.
pub fn read_line(line: &str) -> Result<Row, String> {
    let read: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let at = OffsetDateTime::parse(&read.time, &Rfc3339).map_err(|error| error.to_string())?;
    Ok(Row {
        at: Ticks::try_from(at.unix_timestamp_nanos() / 100).map_err(|error| error.to_string())?,
        operation: read.operation_name,
        status: read.properties.http_status_code,
        attempt: attempt(&read.properties.client_info),
    })
}

/// The comment token `a=<intent>.<n>` of a User-Agent.
fn attempt(client: &str) -> Option<(String, u32)> {
    let tokens = client.split(['(', ')', ';', ' ']);
    let (intent, number) =
        tokens.filter_map(|token| token.strip_prefix("a=")).find_map(|a| a.rsplit_once('.'))?;
    Some((intent.to_owned(), number.parse().ok()?))
}

/// Every row below `directory`, in the order of arrival.
///
/// # Panics
/// When the log cannot be read, or a line of it is none: a judge must not skip what it does not understand.
pub fn read(directory: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("the log's directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).expect("a blob of the log");
                rows.extend(text.lines().filter(|line| !line.is_empty()).map(|line| {
                    read_line(line).unwrap_or_else(|error| panic!("{}: {error} in {line}", path.display()))
                }));
            }
        }
    }
    rows.sort_by_key(|row| row.at);
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(time: &str, operation: &str, status: u16, client: &str) -> String {
        serde_json::json!({
            "time": time, "category": "AuditEvent", "operationName": operation, "resultType": "Success",
            "durationMs": "21",
            "properties": { "clientInfo": client, "httpStatusCode": status, "keyProperties": { "type": "EC" } },
        })
        .to_string()
    }

    #[test]
    fn a_row_is_read_to_its_last_decimal() {
        let row = read_line(&line(
            "2026-01-05T01:32:01.2691226Z",
            "KeySign",
            200,
            "credenza/0.1.0 (a=018f2f6e-7a55-7abc-8def-0123456789ab.12)",
        ))
        .unwrap();
        assert_eq!(row.at, 17_675_767_212_691_226);
        assert_eq!(row.attempt, Some(("018f2f6e-7a55-7abc-8def-0123456789ab".to_owned(), 12)));
        assert!(row.is_operation() && row.is_signature() && !row.is_refusal());
    }

    #[test]
    fn what_counts_under_the_limit() {
        let kind = |operation: &str, status: u16| {
            let row = read_line(&line("2026-01-05T01:32:01Z", operation, status, "other/1")).unwrap();
            assert_eq!(row.attempt, None);
            (row.is_operation(), row.is_refusal(), row.is_signature())
        };
        assert_eq!(kind("KeySign", 200), (true, false, true));
        assert_eq!(kind("KeySign", 429), (false, true, false));
        assert_eq!(kind("KeySign", 403), (true, false, false), "counted, whatever became of it");
        assert_eq!(kind("KeyGet", 200), (true, false, false));
        assert_eq!(kind("KeyCreate", 200), (false, false, false));
        assert_eq!(kind("Authentication", 401), (false, false, false));
    }

    #[test]
    fn attempts_are_found_among_other_words() {
        let found = |client: &str| attempt(client).map(|(intent, n)| format!("{intent}/{n}"));
        assert_eq!(found("credenza/0.1.0 (a=x.1)").as_deref(), Some("x/1"));
        assert_eq!(found("azsdk-rust (linux) credenza/0.1.0 (head=abc; a=x-y.2)").as_deref(), Some("x-y/2"));
        assert_eq!(found("credenza/0.1.0 (a=x)"), None);
        assert_eq!(found("credenza/0.1.0 (a=x.y)"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn blobs_are_found_at_any_depth_and_put_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("insights-logs-auditevent/y=2026/h=01");
        std::fs::create_dir_all(&deep).unwrap();
        let rows = [
            line("2026-01-05T01:00:02Z", "KeySign", 200, ""),
            line("2026-01-05T01:00:01Z", "KeyGet", 200, ""),
        ];
        std::fs::write(deep.join("PT1H.json"), rows.join("\n") + "\n").unwrap();
        let later = line("2026-01-05T00:59:59Z", "KeyCreate", 200, "");
        std::fs::write(directory.path().join("PT1H.json"), later).unwrap();
        let read: Vec<String> = read(directory.path()).into_iter().map(|row| row.operation).collect();
        assert_eq!(read, ["KeyCreate", "KeyGet", "KeySign"]);
    }

    proptest! {
        #[test]
        fn arbitrary_lines_do_not_panic(line in ".*", client in ".*") {
            prop_assert!(read_line(&line).is_err());
            attempt(&client);
        }

        #[test]
        fn attempts_round_trip(intent in "[0-9a-f-]{1,36}", number in 1_u32..10_000) {
            let client = format!("credenza/0.1.0 (a={intent}.{number})");
            prop_assert_eq!(attempt(&client), Some((intent, number)));
        }
    }
}
