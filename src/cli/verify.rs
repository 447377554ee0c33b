//! `cabildo verify`: verifies a bundle, a proof, or the proof of a session on a server. The exit
//! code tells scripts the result.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};

use super::{Failure, output, runtime};
use crate::verify::archive::TarArchive;
use crate::verify::disclosure::Disclosures;
use crate::verify::files::{Directory, Files, without_mark};
use crate::verify::pdf::PDF_BYTES_MAX;
use crate::verify::proof::{HELD_HEADS_BYTES_MAX, PROOF_BYTES_MAX, parse_held_heads};
use crate::verify::{
    Options, Report, TrustedKeys, Verdict, cose, verify_attendance, verify_bundle, verify_proof,
};

/// Longest time that a server may take for one answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest list of keys accepted from a server, in bytes.
const KEYS_BYTES_MAX: u64 = 1 << 20;
/// Held heads for which a server is asked for receipts, one request each; further ones are reported
/// as not checked.
const HELD_HEADS_ASKED_MAX: usize = 64;

/// Verifies a recording's bundle, a proof, or the proof of a session on a server.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The directory or archive (TAR) of a bundle, a file with a proof, or the URL of a session or of
    /// its audit proof.
    #[arg(value_name = "BUNDLE|FILE|URL")]
    what: String,
    /// File with the public keys to trust: the operator's list, from a source that you trust.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// File with heads that somebody saved from the meeting page.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// A list of attendance as a PDF, which is compared with the log of the bundle.
    #[arg(long, value_name = "PDF")]
    attendance: Option<PathBuf>,
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Verifies, and ends with 0 when everything asked for was checked and is correct, with 1 when
/// something is wrong, with 3 when something needed is missing.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut options = Options::default();
    if let Some(path) = &arguments.keys {
        options.keys = TrustedKeys::Independent(read(path, KEYS_BYTES_MAX)?);
    }
    if let Some(path) = &arguments.heads {
        options.held_heads = Some(read(path, HELD_HEADS_BYTES_MAX)?);
    }
    let report = if let Some(list) = &arguments.attendance {
        let Some(bundle) = bundle_at(Path::new(&arguments.what))? else {
            let text = "--attendance needs a bundle";
            return Err(Failure::Usage(format!("{}: {text}", arguments.what)));
        };
        verify_attendance(&read(list, PDF_BYTES_MAX)?, &*bundle, &options)
    } else if is_address(&arguments.what) {
        runtime()?.block_on(check_address(&arguments.what, options))?
    } else {
        let path = Path::new(&arguments.what);
        if arguments.what.contains("://") && !path.exists() {
            let text = "expected a path, or an address that begins with https:// or http://";
            return Err(Failure::Usage(format!("{}: {text}", arguments.what)));
        }
        if let Some(bundle) = bundle_at(path)? {
            verify_bundle(&*bundle, &options)
        } else {
            let document = read(path, PROOF_BYTES_MAX)?;
            check_is_proof(&arguments.what, &document).map_err(Failure::Usage)?;
            verify_proof(&document, &options)
        }
    };
    show(&report, arguments.json)?;
    Ok(match report.verdict {
        Verdict::Valid => ExitCode::SUCCESS,
        Verdict::Invalid => ExitCode::from(1),
        Verdict::Incomplete => ExitCode::from(3),
    })
}

/// The bundle in a directory or an archive; `None` when it is neither.
fn bundle_at(path: &Path) -> Result<Option<Box<dyn Files>>, Failure> {
    if path.is_dir() {
        return Ok(Some(Box::new(Directory::new(path))));
    }
    if !path.is_file()
        || !TarArchive::is_one(path).map_err(|error| missing(path.display(), error))?
    {
        return Ok(None);
    }
    let archive = TarArchive::open(path).map_err(|error| missing(path.display(), error))?;
    Ok(Some(Box::new(archive)))
}

fn show(report: &Report, json: bool) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string(report).map_err(anyhow::Error::from)?
    } else {
        report.to_string()
    };
    output::print(text.trim_end());
    Ok(())
}

fn missing(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Failure {
    Failure::Missing(anyhow::anyhow!("{what}: {why}"))
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let shown = path.display().to_string();
    // Devices and pipes say that they are empty, so the limit is on what is read.
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|error| missing(&shown, error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::False(format!("{shown}: TOO_LARGE: more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Tells what a document is that can't be a proof, nor one that somebody has changed.
fn check_is_proof(what: &str, document: &[u8]) -> Result<(), String> {
    let is = match document {
        [0x1F, 0x8B, ..] | [b'P', b'K', 3, 4, ..] => "packed: unpack it first",
        _ if Disclosures::parse(document).is_ok() => {
            "what was disclosed of a recording: put it into the directory of the bundle as \
             disclosures.json, and verify that"
        }
        _ if !is_object(document) => "no proof, and no bundle",
        _ => return Ok(()),
    };
    Err(format!("{what}: this is {is}"))
}

/// Whether a document begins as an object of JSON does.
fn is_object(document: &[u8]) -> bool {
    let text = without_mark(document);
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn is_address(what: &str) -> bool {
    let scheme = what.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|it| ["https", "http"].iter().any(|known| it.eq_ignore_ascii_case(known)))
}

/// The URL of the proof for the URL of a session or of its proof.
fn proof_address(what: &str) -> Result<Url, Failure> {
    let usage = |why: &str| Failure::Usage(format!("{what}: {why}"));
    let mut url = Url::parse(what).map_err(|error| usage(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(usage("the URL must not contain a name and password"));
    }
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with("/audit-proof") {
        return Ok(url);
    }
    let Some((before, id)) = path.rsplit_once("/sessions/") else {
        return Err(usage("this is not the URL of a session"));
    };
    if id.is_empty() || id.contains('/') {
        return Err(usage("this is not the URL of a session"));
    }
    // Pages have URLs without the prefix of the REST API.
    let before = before.strip_suffix("/api/v1").unwrap_or(before);
    let proof = format!("{before}/api/v1/sessions/{id}/audit-proof");
    url.set_path(&proof);
    url.set_query(None);
    Ok(url)
}

async fn check_address(what: &str, mut options: Options) -> Result<Report, Failure> {
    let url = proof_address(what)?;
    let client = Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(redirect::Policy::none())
        .build()
        .map_err(anyhow::Error::from)?;
    if matches!(options.keys, TrustedKeys::Own) {
        let mut keys = url.clone();
        keys.set_path("/.well-known/cabildo-evidence-keys.json");
        keys.set_query(None);
        options.keys = TrustedKeys::SameSource(fetch(&client, keys, KEYS_BYTES_MAX).await?);
    }
    let proof = fetch(&client, url.clone(), PROOF_BYTES_MAX).await?;
    // Networks answer with pages of their own before somebody has signed in.
    check_is_proof(what, &proof).map_err(|why| Failure::Missing(anyhow::anyhow!(why)))?;
    let Some(held) = options.held_heads.take() else { return Ok(verify_proof(&proof, &options)) };
    let mut report = verify_proof(&proof, &options);
    for (size, one) in one_by_one(&held, &mut report) {
        let mut from = url.clone();
        from.query_pairs_mut().append_pair("from_size", &size.to_string());
        let options = Options { held_heads: Some(one), ..options.clone() };
        match fetch(&client, from, PROOF_BYTES_MAX).await {
            Ok(proof) => report.add(verify_proof(&proof, &options)),
            // If the server can't prove consistency with a head that it signed, the proof that it
            // does give shows that.
            Err(_) => report.add(verify_proof(&proof, &options)),
        }
    }
    Ok(report)
}

/// Splits held heads into one file each, with their sizes. Malformed ones are left to the verifier,
/// which reports them.
fn one_by_one(held: &[u8], report: &mut Report) -> Vec<(u64, Vec<u8>)> {
    let Ok((session, heads)) = parse_held_heads(held) else {
        return vec![(1, held.to_vec())];
    };
    let session = uuid::Uuid::from_bytes(session).to_string();
    let mut seen = BTreeSet::new();
    let mut each = Vec::new();
    for cose in heads.into_iter().rev().filter(|cose| seen.insert(cose.clone())) {
        if each.len() == HELD_HEADS_ASKED_MAX {
            report.lacks(format!("held heads beyond the newest {HELD_HEADS_ASKED_MAX}"));
            break;
        }
        let size = cose::Head::parse(&cose).map_or(1, |head| head.size);
        let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, cose);
        let file = serde_json::json!({"v": 1, "session": session, "heads": [text]});
        each.push((size, file.to_string().into_bytes()));
    }
    if each.is_empty() {
        report.lacks("held heads: the file has none");
    }
    each
}

async fn fetch(client: &Client, url: Url, limit: u64) -> Result<Vec<u8>, Failure> {
    let shown = url.to_string();
    let unreachable = |error: reqwest::Error| missing(&shown, error.without_url());
    let mut response = client.get(url).send().await.map_err(unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(missing(&shown, response.status()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if document.len() as u64 + chunk.len() as u64 > limit {
            let error = io::Error::other(format!("more than {limit} bytes"));
            return Err(missing(&shown, error));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sessions_lead_to_their_proofs() {
        const ID: &str = "0190a1b2-0000-7000-8000-000000000001";
        let proof = format!("https://example.org/api/v1/sessions/{ID}/audit-proof");
        for what in [
            format!("https://example.org/sessions/{ID}"),
            format!("https://example.org/sessions/{ID}/#top"),
            format!("https://example.org/api/v1/sessions/{ID}"),
            proof.clone(),
        ] {
            assert_eq!(proof_address(&what).unwrap().as_str(), proof, "{what}");
        }
        let asked = format!("{proof}?seq=3");
        assert_eq!(proof_address(&asked).unwrap().as_str(), asked);
        for wrong in ["https://example.org/", "https://u:p@example.org/sessions/x", "http://"] {
            assert!(matches!(proof_address(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_known_by_their_scheme() {
        for what in ["http://example.org/x", "HTTPS://example.org/x", "Http://x"] {
            assert!(is_address(what), "{what}");
        }
        for what in ["bundle", "https:/x", "http", "file:///bundle", "dir/http://x"] {
            assert!(!is_address(what), "{what}");
        }
    }

    #[test]
    fn no_more_than_its_limit_is_read_of_what_never_ends() {
        let endless = Path::new("/dev/zero");
        assert_eq!(read(endless, KEYS_BYTES_MAX).unwrap_err().exit_code(), 1);
        assert_eq!(read(Path::new("/dev/null"), KEYS_BYTES_MAX).unwrap(), b"");
    }

    #[test]
    fn what_can_not_be_a_proof_is_no_proof_that_was_changed() {
        let disclosed = br#"{"v":1,"events":[],"subjects":[],"segments":[]}"#;
        for (document, said) in [
            (&b"<!doctype html><title>Sign in</title>"[..], "no proof"),
            (b"", "no proof"),
            (b"\x1F\x8B\x08", "unpack it first"),
            (b"PK\x03\x04", "unpack it first"),
            (disclosed, "disclosures.json"),
        ] {
            let why = check_is_proof("x", document).unwrap_err();
            assert!(why.contains(said), "{why}");
        }
        for document in [&b"{"[..], b"\xEF\xBB\xBF {\"v\":1", b"\n{}"] {
            check_is_proof("x", document).unwrap();
        }
    }

    #[test]
    fn what_is_not_there_ends_with_three() {
        let arguments = Arguments {
            what: "/nonexistent/bundle".into(),
            keys: None,
            heads: None,
            attendance: None,
            json: false,
        };
        assert_eq!(run(&arguments).unwrap_err().exit_code(), 3);
        let other = Arguments { what: "file:///nonexistent".into(), ..arguments };
        assert_eq!(run(&other).unwrap_err().exit_code(), 2, "no such addresses are fetched");
        let arguments = Arguments { what: "/nonexistent/bundle".into(), ..other };
        let attendance = Some("/nonexistent/list.pdf".into());
        let arguments = Arguments { attendance, ..arguments };
        assert_eq!(run(&arguments).unwrap_err().exit_code(), 2, "a list needs a bundle");
    }
}
