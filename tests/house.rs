//! The rules of the house, checked by every test run. A rule that gets in the
//! way is changed here, in the commit that gives the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use package_root::package_root;

#[path = "support/package_root.rs"]
mod package_root;

/// Modules in floor order, each with what it may import. Only earlier rows may
/// be listed, so that the graph has no cycle.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Ground floor: words.
    ("domain", &[]),
    ("clock", &["domain"]),
    // Bytes of media: shared by all who carry, read or write it.
    ("formats", &["domain"]),
    // Documents to print: pure, and shared by all who make them.
    ("documents", &["domain"]),
    // State of engines that remembers its changes, to undo or to store them.
    ("tracked", &[]),
    // What every floor may be told by and may tell.
    ("config", &["domain"]),
    ("telemetry", &["domain", "config"]),
    // First floor: stations know the ground floor and nothing beside it.
    ("auth", &["domain", "clock", "telemetry"]),
    ("attendance", &["domain", "clock", "telemetry", "tracked"]),
    ("claims", &["domain", "clock", "telemetry"]),
    ("events", &["domain", "clock", "telemetry"]),
    ("floor", &["domain", "clock", "telemetry", "tracked"]),
    ("kafka", &["domain", "clock", "telemetry"]),
    ("services", &["domain", "clock", "telemetry"]),
    ("sessions", &["domain", "clock", "telemetry"]),
    ("sfu", &["domain", "clock", "formats", "telemetry"]),
    // The cipher of sealed objects: pure, and shared by all who seal and open.
    ("sealing", &["domain"]),
    // Stations of the record: where bytes and keys live, and the log, whose
    // salts are derived from a wrapped key.
    ("vault", &["domain", "clock", "telemetry", "sealing"]),
    ("evidence", &["domain", "clock", "telemetry", "sealing", "vault"]),
    // The verifier is a stranger to the writer: it shares nothing with it.
    ("verify", &[]),
    // The load client is a stranger to the server: it may not reuse what it
    // measures.
    ("load", &["domain"]),
    // What tests a server from outside knows it by its answers, and offers as the
    // load client does.
    ("reach", &["domain", "load"]),
    // Second floor: where stations meet.
    (
        "recorder",
        &[
            "domain",
            "clock",
            "formats",
            "telemetry",
            "sealing",
            "vault",
            "evidence",
            "sfu",
            "claims",
        ],
    ),
    // Addresses of cameras are sealed with a wrapped key; what they send is bytes of
    // media, and is recorded through the spool's disk.
    (
        "cameras",
        &["domain", "clock", "formats", "telemetry", "sealing", "vault", "claims", "recorder"],
    ),
    (
        "playable",
        &["domain", "clock", "formats", "telemetry", "sealing", "vault", "recorder", "claims"],
    ),
    // Settling, retention, erasure, rewrapping and bundles: what is done to
    // recordings once they are over.
    (
        "custody",
        &[
            "domain",
            "clock",
            "telemetry",
            "sealing",
            "vault",
            "evidence",
            "recorder",
            "claims",
            "sessions",
            "playable",
        ],
    ),
    ("transcriber", &["domain", "clock", "formats", "telemetry", "services", "sfu"]),
    (
        "room",
        &[
            "domain",
            "clock",
            "telemetry",
            "tracked",
            "claims",
            "attendance",
            "floor",
            "sessions",
            "sfu",
        ],
    ),
    // Events as other services are told them: what sessions and rooms keep, in the
    // outbox's order and a public form.
    (
        "delivery",
        &["domain", "clock", "telemetry", "claims", "events", "kafka", "sessions", "room"],
    ),
    // What happened, read back from the log for people and combined pictures.
    ("history", &["domain", "documents", "telemetry", "evidence", "recorder", "playable", "room"]),
    // Telling the governance service of sessions, and binding what it holds.
    (
        "governance",
        &[
            "domain",
            "clock",
            "telemetry",
            "claims",
            "events",
            "kafka",
            "services",
            "sessions",
            "evidence",
            "room",
        ],
    ),
    // Meetings at other providers, made before their sessions are stored.
    ("meetings", &["domain", "clock", "telemetry", "claims", "services", "sessions"]),
    (
        "store",
        &[
            "domain",
            "clock",
            "telemetry",
            "auth",
            "events",
            "governance",
            "meetings",
            "sessions",
            "vault",
            "evidence",
            "cameras",
            "recorder",
            "custody",
            "claims",
            "room",
        ],
    ),
    // Third floor: doors.
    ("moderation", &["domain", "clock", "telemetry", "auth", "sessions", "sfu", "room"]),
    ("uplinks", &["domain", "formats", "cameras", "sessions", "sfu"]),
    // Sessions as streams, of packets in order as devices' are.
    (
        "live",
        &[
            "domain",
            "clock",
            "formats",
            "telemetry",
            "cameras",
            "sessions",
            "sfu",
            "room",
            "uplinks",
        ],
    ),
    ("bridges", &["domain", "clock", "formats", "telemetry", "cameras", "live", "sfu", "room"]),
    (
        "api",
        &[
            "domain",
            "documents",
            "clock",
            "telemetry",
            "auth",
            "attendance",
            "sessions",
            "evidence",
            "cameras",
            "bridges",
            "uplinks",
            "sfu",
            "recorder",
            "playable",
            "custody",
            "history",
            "room",
            "events",
            "delivery",
            "meetings",
        ],
    ),
];

/// The composition root and the command line, which may import everything.
const ABOVE_ALL: &[&str] = &["app", "cli", "lib", "main"];

/// Parts that are engines and are named otherwise, by their path under `src`.
const ENGINES: &[&str] = &["formats", "sfu/congestion", "sfu/control", "sfu/transport"];

/// What an engine may not contain: it is handed bytes and time.
const NOT_IN_AN_ENGINE: &[&str] = &["tokio", "async fn", "async move", "std::fs", "rand::random"];
const ENGINE_LINTS: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";

/// Longest source file before its tests, in lines. A longer one is two files.
const FILE_LINES_MAX: usize = 600;

/// Directories that hold nothing of ours, or what a build made.
const NOT_OURS: &[&str] =
    &[".git", ".venv", "artefacts", "corpus", "data", "dist", "node_modules", "out", "target"];

#[test]
fn the_import_table_has_no_cycle() {
    for (row, (module, imports)) in MAY_IMPORT.iter().enumerate() {
        for import in *imports {
            let earlier = MAY_IMPORT[..row].iter().any(|(name, _)| name == import);
            assert!(earlier, "`{module}` lists `{import}`, which is not on an earlier row");
        }
    }
}

#[test]
fn every_module_has_its_row() {
    let library = read(&root().join("src/lib.rs"));
    let modules: BTreeSet<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert!(modules.contains("domain"), "src/lib.rs was read wrongly");
    for module in modules {
        let listed = MAY_IMPORT.iter().any(|(name, _)| *name == module);
        assert!(listed || ABOVE_ALL.contains(&module), "`{module}` has no row in tests/house.rs");
    }
}

#[test]
fn modules_import_downwards_only() {
    let mut broken = Vec::new();
    for path in rust_files("src") {
        let from = top_module(&path);
        let Some(may) = row(&from) else { continue };
        for to in crate_imports(&code_of(&path)) {
            let is_module = row(&to).is_some() || ABOVE_ALL.contains(&to.as_str());
            if is_module && to != from && !may.contains(&to.as_str()) {
                broken.push(format!("{}: `{from}` may not import `{to}`", shown(&path)));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn engines_are_sans_io() {
    let mut broken = Vec::new();
    let mut engines = 0;
    for path in rust_files("src") {
        if !is_of_an_engine(&path) {
            continue;
        }
        engines += 1;
        let code = code_of(&path);
        let is_facade = !is_of_an_engine(path.parent().expect("a file is in a directory"));
        if is_facade && !code.contains(ENGINE_LINTS) {
            broken.push(format!("{}: does not deny clocks, sockets and files", shown(&path)));
        }
        for word in NOT_IN_AN_ENGINE.iter().filter(|word| code.contains(**word)) {
            broken.push(format!("{}: `{word}` in an engine", shown(&path)));
        }
        for to in crate_imports(&code).iter().filter(|to| *to == "clock" || *to == "telemetry") {
            broken.push(format!("{}: an engine may not import `{to}`", shown(&path)));
        }
    }
    assert!(engines > 0, "no engine was found");
    assert_none(&broken);
}

/// Whether a file or directory belongs to an engine: its own file, or one below.
fn is_of_an_engine(path: &Path) -> bool {
    let inside = path.strip_prefix(root().join("src")).expect("path is under src");
    let inside = inside.with_extension("");
    ENGINES.iter().any(|engine| inside.starts_with(engine))
        || inside.components().any(|part| part.as_os_str() == "engine")
}

#[test]
fn a_file_fits_a_reader() {
    let mut broken = Vec::new();
    for path in rust_files("src") {
        let text = read(&path);
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{}: {lines} lines before its tests", shown(&path)));
        }
    }
    assert_none(&broken);
}

#[test]
fn a_directory_has_its_facade_beside_it() {
    let mut broken = Vec::new();
    for path in rust_files("src") {
        if path.ends_with("mod.rs") {
            broken.push(format!("{}: name it after what it holds", shown(&path)));
        }
        let directory = path.parent().expect("a file is in a directory");
        if directory != root().join("src") && !directory.with_extension("rs").is_file() {
            broken.push(format!("{}: no façade beside its directory", shown(&path)));
        }
    }
    assert_none(&broken);
}

#[test]
fn nothing_is_left_for_later() {
    // In two parts, so that this file does not hold them.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ign", "ore")];
    let script_words =
        [concat!("it.sk", "ip("), concat!("test.sk", "ip("), concat!("it.on", "ly(")];
    let mut broken = Vec::new();
    for (path, text) in our_texts() {
        let is_script = matches!(extension(&path), "ts" | "tsx" | "js" | "mjs");
        let forbidden = words.iter().chain(script_words.iter().filter(|_| is_script));
        for word in forbidden.filter(|word| text.contains(**word)) {
            broken.push(format!("{}: `{word}`", shown(&path)));
        }
    }
    assert_none(&broken);
}

#[test]
fn no_file_names_the_host_of_a_package_registry() {
    let hosts = [
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("npmjs", ".org"),
        concat!("npmjs", ".com"),
        concat!("yarnpkg", ".com"),
        concat!("pythonhosted", ".org"),
        concat!("pypi", ".org"),
        concat!("deb.debian", ".org"),
        concat!("\"reso", "lved\": \"http"),
    ];
    let mut broken = Vec::new();
    for (path, text) in our_texts() {
        for host in hosts.iter().filter(|host| text.contains(**host)) {
            broken.push(format!("{}: `{host}`", shown(&path)));
        }
    }
    assert_none(&broken);
}

#[test]
fn no_file_holds_a_private_key() {
    let mark = concat!("PRIVATE", " KEY-----");
    let mut broken = Vec::new();
    for (path, text) in our_texts() {
        let is_key_file = matches!(extension(&path), "key" | "pem" | "p12" | "pfx");
        // RFC vectors come as text files of their own; keys are made when needed.
        if is_key_file || text.contains(mark) {
            broken.push(format!("{}: a key", shown(&path)));
        }
    }
    assert_none(&broken);
}

#[test]
fn documents_name_what_exists() {
    let makefile = read(&root().join("Makefile"));
    let mut broken = Vec::new();
    for (path, text) in our_texts().into_iter().filter(|(path, _)| extension(path) == "md") {
        let directory = path.parent().expect("a file is in a directory");
        for target in links(&text) {
            if !directory.join(&target).exists() {
                broken.push(format!("{}: links to `{target}`, which is not there", shown(&path)));
            }
        }
        for command in text.split("`make ").skip(1) {
            let name: String =
                command.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if !makefile.lines().any(|line| line.starts_with(&format!("{name}:"))) {
                broken.push(format!("{}: `make {name}` is no target", shown(&path)));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_threat_is_attacked_by_a_test_that_exists() {
    let mut functions = BTreeSet::new();
    for path in ["src", "tests", "fuzz"].into_iter().flat_map(rust_files) {
        for rest in read(&path).split("fn ").skip(1) {
            functions.insert(identifier(rest));
        }
    }
    let threats = read(&root().join("docs/THREATS.md"));
    let mut broken = Vec::new();
    let mut named = 0;
    for line in threats.lines().filter(|line| line.starts_with("| ")) {
        let attacks = line.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        for word in attacks.split('`').skip(1).step_by(2).filter(|word| is_function_name(word)) {
            named += 1;
            if !functions.contains(word) {
                broken.push(format!("docs/THREATS.md: no test is called `{word}`"));
            }
        }
    }
    assert!(named > 20, "docs/THREATS.md was read wrongly: {named} tests named");
    assert_none(&broken);
}

/// A permission that no code asks for is a promise that nothing keeps.
#[test]
fn every_permission_is_asked_for() {
    let roles = read(&root().join("src/domain/role.rs"));
    let table = roles.split("const TABLE").nth(1).expect("role.rs has its table");
    let permissions: BTreeSet<String> =
        table.split("(Action::").skip(1).map(identifier).filter(|name| !name.is_empty()).collect();
    assert!(permissions.len() > 5, "src/domain/role.rs was read wrongly: {permissions:?}");
    let mut unused = permissions;
    for path in rust_files("src").into_iter().filter(|path| !path.ends_with("domain/role.rs")) {
        let code = product_code_of(&path);
        unused.retain(|name| !words(&code).any(|word| word == name));
    }
    let broken: Vec<_> = unused.iter().map(|name| format!("Action::{name}: unused")).collect();
    assert_none(&broken);
}

/// Dependencies that are used without being named in code.
const NAMELESS_DEPENDENCIES: &[(&str, &str)] = &[];

#[test]
fn every_dependency_is_used() {
    let mut broken = Vec::new();
    for package in
        ["", "edge", "examples/platform", "migrations", "fuzz", "benches/peers/forwarder"]
    {
        let directory = root().join(package);
        let manifest = read(&directory.join("Cargo.toml"));
        let code_of_package = |directories: &[&str]| -> BTreeSet<String> {
            let files = directories.iter().map(|name| directory.join(name));
            let files = files.filter(|path| path.exists()).flat_map(|path| files_under(&path));
            let rust = files.filter(|path| extension(path) == "rs");
            rust.flat_map(|path| words(&code_of(&path)).map(str::to_owned).collect::<Vec<_>>())
                .collect()
        };
        let product = code_of_package(match package {
            "fuzz" => &[""],
            // It shares its code with the tests.
            "examples/platform" => &["src", "../../tests/support"],
            _ => &["src", "fuzz"],
        });
        let tests = code_of_package(&["src", "tests", "benches", "examples"]);
        for (section, used) in [("[dependencies]", &product), ("[dev-dependencies]", &tests)] {
            for name in names_in(&manifest, section) {
                let is_nameless = NAMELESS_DEPENDENCIES.iter().any(|(other, _)| *other == name);
                if !used.contains(&name.replace('-', "_")) && !is_nameless {
                    broken.push(format!("{package}/Cargo.toml: `{name}` is not used"));
                }
            }
        }
    }
    assert_none(&broken);
}

/// Public functions that wait for the code that will use them. A row that is no
/// longer needed fails the test too.
const NOT_USED_YET: &[(&str, &str)] = &[];

/// What is public can be used from elsewhere, and no lint tells when nothing does.
/// Types are exempt when others can reach them through signatures.
#[test]
fn what_is_public_is_used_elsewhere() {
    let texts: Vec<(PathBuf, Vec<String>)> =
        ["src", "migrations/src", "tests", "benches", "examples", "fuzz"]
            .into_iter()
            .flat_map(rust_files)
            .filter(|path| !path.ends_with("tests/house.rs"))
            .map(|path| {
                let code = code_of(&path);
                let without_exports = without(&code, "pub use ", ';');
                let words = words(&without_exports).map(str::to_owned).collect();
                (path, words)
            })
            .collect();
    let mut uses: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for (path, words) in &texts {
        for word in words {
            uses.entry(word).or_default().insert(path);
        }
    }
    let mut broken = Vec::new();
    let mut items = 0;
    for path in rust_files("src").into_iter().chain(rust_files("migrations/src")) {
        let code = product_code_of(&path);
        let here = |name: &str| words(&code).filter(|word| *word == name).count();
        for (kind, name) in public_items(&code) {
            items += 1;
            let elsewhere =
                uses.get(name.as_str()).is_some_and(|files| files.iter().any(|file| *file != path));
            let waits = NOT_USED_YET.contains(&(shown(&path).as_str(), name.as_str()));
            if elsewhere && waits {
                broken.push(format!("{}: `{name}` is used now: remove its row", shown(&path)));
            }
            if !elsewhere && !waits && (kind == "fn" || here(&name) == 1) {
                broken.push(format!("{}: `{name}` is public and used nowhere else", shown(&path)));
            }
        }
    }
    assert!(items > 500, "only {items} public items were found");
    assert_none(&broken);
}

/// Kind and name of everything that is `pub` without restriction.
fn public_items(code: &str) -> Vec<(&str, String)> {
    let mut items = Vec::new();
    for rest in code.split("pub ").skip(1) {
        let mut words = rest.split_whitespace().peekable();
        while words.next_if(|word| matches!(*word, "async" | "unsafe")).is_some() {}
        let Some(mut kind) = words.next() else { continue };
        if kind == "const" && words.next_if_eq(&"fn").is_some() {
            kind = "fn";
        }
        if matches!(kind, "fn" | "const" | "static" | "struct" | "enum" | "trait" | "type") {
            items.extend(words.next().map(|name| (kind, identifier(name))));
        }
    }
    items
}

#[test]
fn public_items_are_read_with_their_qualifiers() {
    let code = "pub fn a() {} pub const fn b() {} pub const C: u8 = 1; pub(crate) fn d() {} \
                pub async fn e() {} pub struct F<T>(T); pub mod g; pub use h::I;";
    let found = public_items(code);
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "C", "e", "F"]);
}

/// The names that a section of a manifest gives values to.
fn names_in<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != section).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .collect()
}

/// The code before the tests of the file.
fn product_code_of(path: &Path) -> String {
    let code = code_of(path);
    code.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// The code without what begins with `from` and ends with `to`.
fn without(code: &str, from: &str, to: char) -> String {
    let mut parts = code.split(from);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once(to).map_or("", |(_, rest)| rest));
    }
    kept
}

fn is_function_name(word: &str) -> bool {
    word.contains('_')
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn row(module: &str) -> Option<&'static [&'static str]> {
    MAY_IMPORT.iter().find(|(name, _)| *name == module).map(|(_, imports)| *imports)
}

/// First path segment of everything named through `crate::`, groups included.
fn crate_imports(code: &str) -> BTreeSet<String> {
    let mut imports = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            imports.insert(identifier(rest));
            continue;
        };
        let mut depth = 0_u32;
        let mut member = String::new();
        for letter in group.chars() {
            match letter {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    imports.insert(identifier(member.trim()));
                    member.clear();
                }
                _ => member.push(letter),
            }
        }
        imports.insert(identifier(member.trim()));
    }
    imports
}

#[test]
fn imports_are_read_from_groups_too() {
    let code = "use crate::{floor::{self, Turn}, room}; fn f(_: crate::sfu::Plane) {}";
    let found: Vec<_> = crate_imports(code).into_iter().collect();
    assert_eq!(found, ["floor", "room", "sfu"]);
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The file without comments, so that prose may name what code may not.
fn code_of(path: &Path) -> String {
    let text = read(path);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Targets of relative Markdown links, without their fragments.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

fn top_module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("path is under src");
    let first = inside.iter().next().expect("path has a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(package_root);
    &ROOT
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn rust_files(directory: &str) -> Vec<PathBuf> {
    let files = files_under(&root().join(directory));
    files.into_iter().filter(|path| extension(path) == "rs").collect()
}

/// Every text file of the project, wherever it is.
fn our_texts() -> Vec<(PathBuf, String)> {
    let files = files_under(root());
    files
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
        .collect()
}

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("a directory entry is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() {
            if !NOT_OURS.contains(&name.as_ref()) {
                files.extend(files_under(&path));
            }
        } else if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Fails with everything that was found, one finding a line.
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
