//! `cabildo evidence`: bundles, disclosures, erasure and keys. Works while the server runs and
//! while it does not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};

use super::serve::{profile_of, source_of, with_database};
use super::{Failure, Place, output, runtime};
use crate::app::{self, Adopted, Foundation, custody_of, open_foundation, store_options};
use crate::clock::Clock;
use crate::config::Config;
use crate::custody::{ClipWanted, Custody, CustodyError, ErasureReason, Exported, Texts};
use crate::domain::id::{InvalidId, RecordedTrackId, SessionId, SessionKey, TenantId};
use crate::domain::time::Timestamp;
use crate::evidence::EvidenceKeys;
use crate::sessions::SessionDirectory as _;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

/// The location of the installation, and the identity of its server.
#[derive(Debug, clap::Args)]
struct Installation {
    #[command(flatten)]
    place: Place,
    /// Address of the server's public listener, if it was started with this option: in development
    /// it is part of the issuer of the evidence.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Writes everything that is needed to verify a session's recording, still encrypted. Ends with
    /// 1 when objects are missing or damaged.
    Export {
        #[command(flatten)]
        installation: Installation,
        /// UUID of the session.
        #[arg(value_parser = parse::<SessionId>)]
        session: SessionId,
        /// Texts of events that the bundle discloses: those of attendance, or all decisions of the
        /// room, what was said included; without it, none.
        #[arg(long, value_name = "WHICH")]
        disclose: Option<Which>,
        /// Directory to write to; must not exist or must be empty.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Discloses entries of the log: the text of an event, the person of a track, the key of a
    /// segment.
    Disclose {
        #[command(flatten)]
        installation: Installation,
        /// UUID of the session.
        #[arg(value_parser = parse::<SessionId>)]
        session: SessionId,
        /// Number of the entry; may be given several times.
        #[arg(long = "seq", required = true, value_name = "N")]
        seqs: Vec<u64>,
        /// File to write, which must not exist; without it the disclosure is printed.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Writes a part of a recording with its proof and only the keys of that part. Ends with 1 when
    /// objects are missing or damaged.
    Clip {
        #[command(flatten)]
        installation: Installation,
        /// UUID of the session.
        #[arg(value_parser = parse::<SessionId>)]
        session: SessionId,
        /// Begin, RFC 3339.
        #[arg(long, value_parser = moment)]
        from: Timestamp,
        /// End, RFC 3339.
        #[arg(long, value_parser = moment)]
        to: Timestamp,
        /// UUID of a recorded track; may be given several times; without it, all tracks.
        #[arg(long = "track", value_parser = parse::<RecordedTrackId>)]
        tracks: Vec<RecordedTrackId>,
        /// Also discloses whose tracks they are.
        #[arg(long)]
        subjects: bool,
        /// Directory to write to; must not exist or must be empty.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Erases the recording of a session with its texts and names, or what was recorded of one
    /// track. It can't be restored; its proof remains.
    Erase {
        #[command(flatten)]
        installation: Installation,
        /// UUID of the session.
        #[arg(value_parser = parse::<SessionId>)]
        session: SessionId,
        /// UUID of a recorded track, whose sound or pictures are erased, and the combined file with
        /// them. What the person said as text stays, as do minutes, chat, attendance and names, and
        /// their other tracks. Without it, the whole session and all of that.
        #[arg(long, value_parser = parse::<RecordedTrackId>)]
        track: Option<RecordedTrackId>,
        /// The reason, which is entered in the log.
        #[arg(long)]
        reason: Reason,
    },
    /// Makes a new key for a tenant and rewraps every key with it.
    RotateKeys {
        #[command(flatten)]
        installation: Installation,
        /// UUID of the tenant.
        #[arg(long, value_parser = parse::<TenantId>)]
        tenant: TenantId,
        /// Makes no new key; rewraps the keys that an earlier rotation has left.
        #[arg(long)]
        resume: bool,
        /// Makes no new key; rewraps the remaining keys and then destroys every older key of the
        /// tenant. Refused while one of its sessions is recorded.
        #[arg(long, conflicts_with = "resume")]
        destroy_older: bool,
    },
    /// Makes the configured vault or directory of keys, in which nothing says that it is, the one of this
    /// installation: after it was moved, or when what it had is given up. That of another installation is
    /// refused.
    #[command(group = clap::ArgGroup::new("place_to_adopt").required(true).multiple(true))]
    Adopt {
        #[command(flatten)]
        place: Place,
        /// The vault.
        #[arg(long, group = "place_to_adopt")]
        vault: bool,
        /// The directory of keys.
        #[arg(long, group = "place_to_adopt")]
        keys: bool,
    },
    /// Makes a new key that signs from now on; it is published together with the older ones.
    RotateSigningKey(Place),
}

/// Which texts of events a bundle discloses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Who came and went, the quorum, and that lists of attendance were issued.
    Attendance,
    /// Every decision of the room, and that lists of attendance were issued.
    Decisions,
}

impl From<Which> for Texts {
    fn from(which: Which) -> Self {
        match which {
            Which::Attendance => Self::Attendance,
            Which::Decisions => Self::Decisions,
        }
    }
}

/// Why something is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reason {
    /// The retention time is over.
    Retention,
    /// A person asked for it.
    Requested,
    /// A court or authority ordered it.
    Ordered,
}

impl From<Reason> for ErasureReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Retention => Self::RetentionOver,
            Reason::Requested => Self::Requested,
            Reason::Ordered => Self::Ordered,
        }
    }
}

fn parse<T: std::str::FromStr<Err = InvalidId>>(text: &str) -> Result<T, InvalidId> {
    text.parse()
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = Timestamp::parse_rfc3339(text).filter(|moment| moment.unix_us() >= 0);
    moment.ok_or_else(|| "expected a time since 1970, such as 2026-11-21T18:30:00Z".to_owned())
}

impl From<CustodyError> for Failure {
    fn from(error: CustodyError) -> Self {
        match &error {
            CustodyError::NoLog
            | CustodyError::NoSuchTenant(_)
            | CustodyError::NoSuchTrack(_)
            | CustodyError::NotDisclosable { .. }
            | CustodyError::TooMany { .. }
            | CustodyError::Nothing
            | CustodyError::OutputNotEmpty(_)
            | CustodyError::OutputExists(_) => Self::Usage(error.to_string()),
            CustodyError::StillRecorded
            | CustodyError::NotOver
            | CustodyError::Claimed
            | CustodyError::Erased
            | CustodyError::OldKeysInUse(_)
            | CustodyError::Unfinished(_)
            | CustodyError::Disagrees(_) => Self::False(error.to_string()),
            // Its text has its cause, which the chain of the error would repeat.
            CustodyError::Output { .. } => Self::Missing(anyhow::Error::msg(error.to_string())),
            CustodyError::Abandoned
            | CustodyError::Claims(_)
            | CustodyError::Store(_)
            | CustodyError::Vault(_)
            | CustodyError::Keys(_)
            | CustodyError::Log(_) => Self::Missing(error.into()),
        }
    }
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let installation = match &arguments.what {
        What::RotateSigningKey(place) => return rotate_signing_key(place),
        What::Adopt { place, vault, keys } => {
            return runtime()?.block_on(Box::pin(adopt(place, *vault, *keys)));
        }
        What::Export { installation, .. }
        | What::Disclose { installation, .. }
        | What::Clip { installation, .. }
        | What::Erase { installation, .. }
        | What::RotateKeys { installation, .. } => installation,
    };
    let config = config_of(&installation.place, installation.http)?;
    runtime()?.block_on(async {
        let desk = Desk::open(&config).await?;
        let done = tokio::select! {
            done = Box::pin(desk.carry_out(arguments.what)) => done,
            // Interrupting is safe: an incomplete bundle is removed, and other commands continue
            // when they are repeated.
            _ = tokio::signal::ctrl_c() => Err(Failure::Missing(anyhow::anyhow!("interrupted"))),
        };
        desk.close().await;
        done
    })
}

fn config_of(place: &Place, http: Option<SocketAddr>) -> Result<Config, Failure> {
    let mut source = source_of(place)?;
    if let Some(http) = http {
        source.set("http.bind", http.to_string());
    }
    let config = with_database(source, &profile_of(place))?;
    let database = store_options(&config);
    // A database that is made now would hold nothing that a command could find.
    if let Some(file) = database.file().filter(|_| database.is_absent_file()) {
        return Err(Failure::Usage(format!(
            "store.url: there is no database {}: name where a server keeps its data, by --config or --data-dir",
            file.display()
        )));
    }
    Ok(config)
}

fn rotate_signing_key(place: &Place) -> Result<ExitCode, Failure> {
    let config = Config::read(source_of(place)?, &profile_of(place));
    let config = config.map_err(|error| Failure::Usage(error.to_string()))?;
    let directory = config.recording.keys.directory.join("evidence");
    if !EvidenceKeys::are_in(&directory) {
        return Err(Failure::Usage(format!(
            "keys.directory: {} has no key that could be replaced; a server makes the first one when it starts",
            directory.display()
        )));
    }
    let keys = EvidenceKeys::open(&directory).context("keys.directory")?;
    keys.rotate().context("keys.directory")?;
    output::print(&format!("a new key signs from now on; {} keys are published", keys.all().len()));
    Ok(ExitCode::SUCCESS)
}

async fn adopt(place: &Place, vault: bool, keys: bool) -> Result<ExitCode, Failure> {
    let config = config_of(place, None)?;
    let store = Store::connect(&store_options(&config)).await.context("the store")?;
    let places = [(crate::vault::Place::Vault, vault), (crate::vault::Place::Keys, keys)];
    let wanted: Vec<_> =
        places.into_iter().filter_map(|(place, is_wanted)| is_wanted.then_some(place)).collect();
    let adopted = app::adopt(&config, &store, &wanted).await;
    store.close().await.context("the store")?;
    for Adopted { place, was_there } in adopted? {
        let is = if was_there { "was that" } else { "is now that" };
        output::print(&format!("{place} {is} of this installation"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The parts that the commands use.
struct Desk {
    store: Store,
    foundation: Foundation,
    custody: Custody,
}

impl Desk {
    async fn open(config: &Config) -> Result<Self, Failure> {
        let clock = Clock::system();
        let store = Store::connect(&store_options(config)).await.context("the store")?;
        let foundation = open_foundation(config, &store, &clock).await?;
        let custody = custody_of(&store, &foundation, (&clock, clock.clone()));
        Ok(Self { store, foundation, custody })
    }

    /// Waits until the log has signed what was written to it.
    async fn close(self) {
        self.foundation.evidence.shutdown().await;
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the store could not be closed");
        }
    }

    async fn carry_out(&self, what: What) -> Result<ExitCode, Failure> {
        match what {
            What::Export { session, disclose, out, .. } => {
                let key = SessionKey::new(self.tenant_of(session).await?, session);
                let texts = disclose.map(Into::into);
                told(&self.custody.export_disclosing(key, texts, &out).await?)
            }
            What::Disclose { session, seqs, out, .. } => {
                let key = SessionKey::new(self.tenant_of(session).await?, session);
                if let Some(path) = out {
                    self.custody.disclose_into(key, &seqs, &path).await?;
                } else {
                    let text = self.custody.disclose(key, &seqs).await?;
                    output::print(&String::from_utf8_lossy(&text));
                }
                Ok(ExitCode::SUCCESS)
            }
            What::Clip { session, from, to, tracks, subjects, out, .. } => {
                if to <= from {
                    return Err(Failure::Usage("--to must be after --from".to_owned()));
                }
                let tenant = self.tenant_of(session).await?;
                let wanted = ClipWanted {
                    from_ms: u64::try_from(from.unix_ms()).unwrap_or_default(),
                    to_ms: u64::try_from(to.unix_ms()).unwrap_or_default(),
                    tracks,
                    reveals_subjects: subjects,
                };
                told(&self.custody.clip(SessionKey::new(tenant, session), &wanted, &out).await?)
            }
            What::Erase { session, track, reason, .. } => {
                let tenant = self.tenant_of(session).await?;
                self.erase(SessionKey::new(tenant, session), track, reason.into()).await
            }
            What::RotateKeys { tenant, resume, destroy_older, .. } => {
                if !resume && !destroy_older {
                    let version = self.custody.rotate(tenant).await?;
                    output::print(&format!("key {version} is used for wrapping from now on"));
                }
                self.rewrap(tenant).await?;
                if destroy_older {
                    for version in self.custody.destroy_older(tenant).await? {
                        output::print(&format!("key {version} was destroyed"));
                    }
                }
                Ok(ExitCode::SUCCESS)
            }
            // Need no desk, and were carried out before.
            What::RotateSigningKey(place) => rotate_signing_key(&place),
            What::Adopt { place, vault, keys } => adopt(&place, vault, keys).await,
        }
    }

    async fn tenant_of(&self, session: SessionId) -> Result<TenantId, Failure> {
        let tenant = self.store.tenant_of(session).await.context("the store")?;
        tenant.ok_or_else(|| Failure::Usage(format!("there is no session {session}")))
    }

    async fn erase(
        &self,
        key: SessionKey,
        track: Option<RecordedTrackId>,
        reason: ErasureReason,
    ) -> Result<ExitCode, Failure> {
        let erased = match track {
            Some(track) => self.custody.erase_track(key, track, reason).await?,
            None => self.custody.erase_session(key, reason).await?,
        };
        let (keys, objects) = (erased.keys, erased.objects);
        output::print(&format!("{keys} keys were destroyed and {objects} objects deleted"));
        if erased.locked > 0 {
            let locked = erased.locked;
            output::print(&format!(
                "{locked} objects stay until their lock ends; without keys they can't be decrypted"
            ));
        }
        if let Some(failure) = erased.failure {
            let waiting = erased.waiting;
            output::print(&format!(
                "{waiting} objects could not be deleted ({failure}); without keys they can't be \
                 decrypted, and the server tries again every hour"
            ));
        }
        if erased.unscrubbed {
            output::print(
                "the files of the database still contain what was erased, since another program \
                 reads them; the server tries again every hour, and so does this command when it \
                 is repeated",
            );
        }
        if track.is_some() {
            output::print(
                "only what was recorded of this track was erased: what the person said as text, \
                 minutes, chat, attendance and names stay until the whole session is erased",
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn rewrap(&self, tenant: TenantId) -> Result<(), Failure> {
        let done = self.custody.rewrap(tenant).await?;
        let (keys, sessions) = (done.keys, done.sessions);
        output::print(&format!("{keys} keys of {sessions} sessions were rewrapped"));
        if done.left > 0 {
            let left = done.left;
            return Err(Failure::False(format!(
                "{left} keys could not be rewrapped now; repeat the command with --resume when no \
                 instance works on a recording of the tenant"
            )));
        }
        Ok(())
    }
}

/// Prints what was written, and whether it is complete.
fn told(exported: &Exported) -> Result<ExitCode, Failure> {
    let Exported { entries, objects, bytes, erased_tracks, damaged, .. } = exported;
    output::print(&format!("{entries} entries, {objects} objects, {bytes} bytes"));
    if *erased_tracks > 0 {
        output::print(&format!(
            "{erased_tracks} tracks were erased; only their entries are included"
        ));
    }
    if *damaged == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let names = exported.damaged_names.join("\n  ");
    Err(Failure::False(format!("{damaged} objects are missing or damaged:\n  {names}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parsed(line: &str) -> Result<What, clap::Error> {
        Command::try_parse_from(line.split_whitespace()).map(|command| command.arguments.what)
    }

    const ID: &str = "0190b3c4-5d6e-7f80-9123-456789abcdef";

    #[test]
    fn commands_are_understood() {
        for line in [
            format!("x export {ID} --out d"),
            format!("x disclose {ID} --seq 1 --seq 7 --data-dir d"),
            format!(
                "x clip {ID} --from 2026-11-21T18:30:00Z --to 2026-11-21T19:30:10+01:00 --out d"
            ),
            format!("x erase {ID} --track {ID} --reason ordered"),
            format!("x rotate-keys --tenant {ID} --destroy-older"),
            "x rotate-signing-key --config c.yaml".to_owned(),
            "x adopt --vault --keys --data-dir d".to_owned(),
            "x adopt --keys".to_owned(),
        ] {
            parsed(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "x".to_owned(),
            format!("x export {ID}"),
            "x export not-a-session --out d".to_owned(),
            format!("x disclose {ID}"),
            format!("x disclose {ID} --seq -1"),
            format!("x clip {ID} --from yesterday --to 2026-11-21T19:30:00Z --out d"),
            format!("x clip {ID} --from 1969-11-21T19:30:00Z --to 2026-11-21T19:30:00Z --out d"),
            format!("x erase {ID}"),
            format!("x erase {ID} --reason boredom"),
            "x rotate-keys".to_owned(),
            "x adopt".to_owned(),
            format!("x rotate-keys --tenant {ID} --resume --destroy-older"),
        ] {
            let error = parsed(&line).err().unwrap_or_else(|| panic!("{line} was understood"));
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn failures_have_their_exit_codes() {
        for (error, code) in [
            (CustodyError::NoLog, 2),
            (CustodyError::OutputNotEmpty(PathBuf::from("d")), 2),
            (CustodyError::OutputExists(PathBuf::from("d")), 2),
            (CustodyError::NoSuchTenant(TenantId::generate()), 2),
            (CustodyError::StillRecorded, 1),
            (CustodyError::NotOver, 1),
            (CustodyError::OldKeysInUse(1), 1),
            (CustodyError::Vault(crate::vault::VaultError::Full), 3),
        ] {
            let text = error.to_string();
            assert_eq!(Failure::from(error).exit_code(), code, "{text}");
        }
    }

    #[test]
    fn a_path_that_can_not_be_written_is_told_with_its_cause_once() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let path = PathBuf::from("/tmp/none");
        let Failure::Missing(told) = Failure::from(CustodyError::Output { path, source }) else {
            panic!("it ends with 3");
        };
        assert_eq!(format!("{told:#}"), "/tmp/none: entity not found");
    }
}
