//! The command line's syntax.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use wallet::holder::HolderKind;

/// A development wallet for the Entra wire.
#[derive(Debug, Parser)]
#[command(name = "wallet", version)]
pub struct Arguments {
    /// Print one JSON object on standard output; everything else goes to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Accept a credential from an openid-vc:// link
    Accept(Accept),
    /// Show the kept credentials, or one of them
    Show(Show),
    /// Check a credential against its issuer's live documents
    Verify(Verify),
}

/// Whom to trust.
#[derive(Debug, Args)]
pub struct Tls {
    /// Certificate authorities to trust besides the system's, as PEM
    #[arg(long, value_name = "PEM", env = "WALLET_CA")]
    pub ca: Option<PathBuf>,
}

/// Where the wallet keeps its files.
#[derive(Debug, Args)]
pub struct Place {
    /// The wallet's directory
    #[arg(long, value_name = "DIR", env = "WALLET_DIR", default_value = ".credenza-wallet")]
    pub dir: PathBuf,
}

/// Options of `accept`.
#[derive(Debug, Args)]
pub struct Accept {
    /// The link, as it stands in the QR code
    pub link: String,
    /// The PIN, where the issuer asks for one
    #[arg(long)]
    pub pin: Option<String>,
    /// A claim that you state about yourself; repeat for more
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub claims: Vec<(String, String)>,
    /// Consent without being asked
    #[arg(long)]
    pub yes: bool,
    /// Language of the contract, sent as Accept-Language
    #[arg(long)]
    pub locale: Option<String>,
    /// DID method and curve: jwk-p256, jwk-ed25519, key-p256, key-ed25519 or ion-secp256k1
    #[arg(long, value_name = "KIND", default_value_t)]
    pub holder: HolderKind,
    /// Make signatures with the high half of S, as some wallets do; only with --holder ion-secp256k1
    #[arg(long)]
    pub high_s: bool,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub tls: Tls,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// A kept credential; without it all of them are listed
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A kept credential, or a file with nothing but the compact JWS
    pub file: PathBuf,
    #[command(flatten)]
    pub tls: Tls,
}

fn name_and_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a claim is NAME=VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_syntax_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn reads_claims_and_kinds() {
        let parse = |more: &[&str]| {
            Arguments::try_parse_from([&["wallet", "accept", "openid-vc://?x"], more].concat())
        };
        let Command::Accept(args) =
            parse(&["--claim", "a=b=c", "--claim", "d=", "--holder", "ion-secp256k1", "--json"])
                .unwrap()
                .command
        else {
            panic!("not accept")
        };
        assert_eq!(args.claims, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert_eq!(args.holder, HolderKind::IonSecp256k1);
        assert!(parse(&["--claim", "novalue"]).is_err());
        assert!(parse(&["--claim", "=x"]).is_err());
        assert!(parse(&["--holder", "rsa"]).is_err());
    }
}
