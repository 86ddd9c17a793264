//! Libraries for Python as judges. Owns the virtual environment in the target directory, made when it is not there; knows no
//! subject.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use credenza_tests::binaries;
use serde_json::Value;
use xtask::tools::Tool;

/// The versions are fixed, so that the same tests run every time.
const PACKAGES: [&str; 2] = ["msal==1.39.0", "PyLD==3.3.0"];

/// Runs a program that reads JSON and writes JSON.
///
/// # Errors
/// What Python says on standard error when the program fails.
pub fn run(program: &str, input: &Value, environment: &[(&str, &str)]) -> Result<Value, String> {
    let mut command = Command::new(interpreter());
    command.args(["-c", program]).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    // A program that fails at once does not read.
    std::io::Write::write_all(&mut pipe, input.to_string().as_bytes()).ok();
    drop(pipe);
    let output = child.wait_with_output().expect("python ends");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The interpreter of an environment that has the packages.
fn interpreter() -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let test = std::env::current_exe().expect("a test knows its own place");
    let target = test.ancestors().nth(3).expect("a test lies in target/<profile>/deps");
    let environment = target.join("python-judges");
    let interpreter = environment.join("bin/python");
    if is_complete(&interpreter) {
        return interpreter;
    }
    // Half of an environment is none.
    std::fs::remove_dir_all(&environment).ok();
    let mut make = Command::new(binaries::tool(Tool::Python));
    assert_success(&output_of(make.args(["-m", "venv"]).arg(&environment)), "python3 -m venv");
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    assert_success(&output_of(&mut install), "pip install");
    assert!(is_complete(&interpreter), "the packages were installed and are not there");
    interpreter
}

fn is_complete(interpreter: &Path) -> bool {
    let program = "import sys\nfrom importlib.metadata import version\n\
                   sys.exit(any(version(one.split('==')[0]) != one.split('==')[1] for one in sys.argv[1:]))";
    interpreter.is_file()
        && output_of(Command::new(interpreter).args(["-c", program]).args(PACKAGES)).status.success()
}

fn output_of(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn assert_success(output: &Output, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}\n{}", text(&output.stdout), text(&output.stderr));
}
