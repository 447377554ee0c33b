//! `cabildo doctor`.

use std::path::PathBuf;

use super::serve::{examined, profile_of, source_of};
use super::{Failure, Place, output, runtime};
use crate::app::{FoundEngine, Seen, engines_of, examine};
use crate::clock::Clock;
use crate::config::{Config, WHISPER};
use crate::reach::{self, Asked, Line, ReachError};
use crate::transcriber::measure;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Tests from this machine whether the server at this address is reached, and nothing else. Needs
    /// no configuration.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// With --from: a media token of a session that runs, or an access token that is bound to no
    /// key, to test the ways of media. It enters the session for some seconds.
    #[arg(long, env = "CABILDO_DOCTOR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// With --from: the session of the token, unless the address or the token names it.
    #[arg(long, value_name = "ID", requires = "from")]
    session: Option<String>,
    /// With --from: PEM file of authorities to trust beside those of this machine.
    #[arg(long, value_name = "FILE", requires = "from")]
    ca: Option<PathBuf>,
}

impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arguments").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Tests whether a server is reached. Prints a line for each thing; the exit code is 1 when one
/// fails.
fn run_from(from: &str, arguments: &Arguments) -> Result<(), Failure> {
    let asked = Asked {
        from: from.to_owned(),
        token: arguments.token.as_deref().map(|token| token.trim().to_owned()),
        session: arguments.session.clone(),
        authorities: arguments.ca.clone(),
    };
    let mut tell = |line: &Line| {
        let Line { state, what, text, advice } = line;
        output::print(&format!("{:<10} {what}: {text}", state.as_str()));
        if let Some(advice) = advice {
            output::print(&format!("{:<10} {advice}", ""));
        }
    };
    let examined = runtime()?.block_on(reach::examine(&asked, &mut tell));
    let outcome = examined.map_err(|error| match error {
        ReachError::Tls(_) => Failure::Missing(error.into()),
        _ => Failure::Usage(error.to_string()),
    })?;
    if outcome.failed == 0 {
        return Ok(());
    }
    Err(Failure::False(format!("{} of {} checks failed", outcome.failed, outcome.tested)))
}

/// Checks the configuration, whose the vault and the keys are, and what transcription needs. Prints a line for
/// each thing; the exit code is 1 when one is not as it should be.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(from) = &arguments.from {
        return run_from(from, arguments);
    }
    let config = examined(source_of(&arguments.place)?, &profile_of(&arguments.place))?;
    output::print("configuration ok");
    match (tell_storage(&config), tell_transcription(&config)) {
        (Err(one), Err(other)) => Err(Failure::False(format!("{}\n{}", one.text(), other.text()))),
        (storage, transcription) => storage.and(transcription),
    }
}

/// Tells whether the vault and the directory of keys are those of the database's installation.
fn tell_storage(config: &Config) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for seen in runtime()?.block_on(Box::pin(examine(config))) {
        match seen {
            Seen::Own(place) => output::print(&format!("storage ok: {place}")),
            Seen::New(place) => {
                output::print(&format!("storage new: {place} gets its marker at the next start"));
            }
            Seen::Unknown(why) => output::print(&format!("storage unknown: {why}")),
            Seen::Wrong(what) => wrong.push(format!("storage wrong: {what}")),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::False(wrong.join("\n"))) }
}

/// Tells what transcription needs.
fn tell_transcription(config: &Config) -> Result<(), Failure> {
    if config.transcription.used().next().is_none() {
        output::print("transcription off: no engine is configured");
        return Ok(());
    }
    let runtime = runtime()?;
    let _inside = runtime.enter();
    describe_model(config);
    let mut problems = Vec::new();
    let clock = Clock::system();
    for found in engines_of(config, (&clock, &clock))? {
        if let Some(engine) = &found.engine {
            let FoundEngine { name, device, workers, .. } = &found;
            output::print(&format!(
                "transcription name={name} engine={} device={device} workers={workers}",
                engine.name(),
            ));
        }
        if found.name == WHISPER {
            tell_speed(&found)?;
        }
        problems.extend(found.problem.map(|problem| format!("{}: {problem}", found.name)));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::False(format!("transcription: {}", problems.join("; "))))
}

/// Measures only what runs here: a remote engine is not sent a sound by a check.
fn tell_speed(found: &FoundEngine) -> Result<(), Failure> {
    let Some(engine) = &found.engine else { return Ok(()) };
    let failed = |error| Failure::False(format!("transcription: {error}"));
    let mut recogniser = engine.recogniser().map_err(failed)?;
    let measured = measure(recogniser.as_mut()).map_err(failed)?;
    let workers = found.workers;
    let speakers = measured.speakers(workers);
    output::print(&format!(
        "transcription real_time_factor={:.3} workers={workers} speakers={speakers} (on a sound \
         without words; speech takes a little more)",
        measured.factor,
    ));
    if speakers == 0 {
        let slow = "this machine is too slow for the model, or busy: not even one speaker has text \
                    in time. Take a smaller model, or measure again when nothing else runs";
        return Err(Failure::False(format!("transcription: {slow}")));
    }
    Ok(())
}

#[cfg(feature = "whisper")]
fn describe_model(config: &Config) {
    use crate::transcriber::speech::model;

    let Some(path) = &config.transcription.model else { return };
    // What is wrong with it is told when it is loaded.
    if let Ok((_, facts)) = model::open(path) {
        output::print(&format!(
            "transcription model={} type={} weights={} languages={} bytes={}",
            path.display(),
            facts.kind,
            facts.weights,
            if facts.is_multilingual() { facts.languages.to_string() } else { "en".to_owned() },
            facts.bytes
        ));
    }
}

#[cfg(not(feature = "whisper"))]
const fn describe_model(_config: &Config) {}
