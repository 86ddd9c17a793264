//! Tests of starting and ending, with small scripts in the place of the product.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Reads its arguments as the product does: `$data`, `$http`, `$https` and `$ready` are set.
const ARGUMENTS: &str = "#!/bin/sh
[ \"$1\" = dev ] || exit 9; shift
while [ $# -gt 1 ]; do case $1 in
  --data-dir) data=$2;; --http) http=$2;; --https) https=$2;; --ready-file) ready=$2;; --database) database=$2;;
esac; shift 2; done
";

const GET_READY: &str = "
mkdir -p \"$data\"; echo start >>\"$data/starts\"
echo '{\"http\":\"http:' >\"$ready\"
echo \"{\\\"http\\\":\\\"http://$http/\\\",\\\"https\\\":\\\"https://$https\\\",\\\"tenant_id\\\":\\\"$database$EXTRA\\\",\\\"new\\\":1}\" >\"$ready\"
trap 'exit 0' TERM; while :; do sleep 0.05; done
";

struct Script {
    directory: TempDir,
}

impl Script {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (draft, file) = (directory.path().join("draft"), directory.path().join("credenza"));
        std::fs::write(&draft, format!("{ARGUMENTS}{text}")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Copied by another process: a child that a parallel test forks while we write would hold the file open for
        // writing, and the kernel refuses to run such a file.
        assert!(Command::new("cp").arg(&draft).arg(&file).status().unwrap().success());
        Self { directory }
    }

    fn options(&self) -> Options {
        Options { program: Some(self.directory.path().join("credenza")), ..Options::default() }
    }
}

#[tokio::test]
async fn gets_ready_stops_and_starts_again_on_the_same_ports_and_data() {
    let script = Script::new(GET_READY);
    let options = Options {
        database_url: Some("postgres://x".to_owned()),
        env: vec![("EXTRA".to_owned(), "+more".to_owned())],
        ..script.options()
    };
    let mut credenza = Credenza::start(options).await;
    assert_eq!(credenza.ready().tenant_id.as_deref(), Some("postgres://x+more"));
    assert!(credenza.ready().ca_file.is_none());
    let (http, https) = (credenza.base_http(), credenza.base_https());
    assert!(
        http.starts_with("http://127.0.0.1:")
            && !http.ends_with('/')
            && https.starts_with("https://127.0.0.1:")
    );
    assert!(credenza.stop().success());
    let mut credenza = credenza.start_again().await;
    assert_eq!((credenza.base_http(), credenza.base_https()), (http, https));
    assert_eq!(std::fs::read_to_string(credenza.data_dir().join("starts")).unwrap(), "start\nstart\n");
    let directory = credenza.data_dir().to_path_buf();
    credenza.kill();
    drop(credenza);
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_start_that_fails_is_reported_with_status_and_output() {
    let script = Script::new("echo 'no such key' >&2; exit 3");
    let failure = Credenza::try_start(script.options()).await.unwrap_err();
    assert_eq!(failure.status.and_then(|status| status.code()), Some(3));
    assert_eq!(failure.log, "no such key\n");
}

#[tokio::test]
async fn taken_ports_are_replaced_unless_they_were_asked_for() {
    let taken = "if [ ! -e $(dirname $0)/tried ]; then echo $http >$(dirname $0)/tried; echo 'Address already in use'; exit 1; fi";
    let script = Script::new(&format!("{taken}{GET_READY}"));
    let credenza = Credenza::start(script.options()).await;
    let first = std::fs::read_to_string(script.directory.path().join("tried")).unwrap();
    assert_ne!(credenza.base_http(), format!("http://{}", first.trim()));

    let script = Script::new(&format!("{taken}{GET_READY}"));
    let fixed = Options { ports: Some((ports::free(), ports::free())), ..script.options() };
    assert!(Credenza::try_start(fixed).await.unwrap_err().log.contains("in use"));
}
